// A stand-in for the google, aws and spacelift providers, which need not be downloaded. It serves only the providers' schemas (see
// provider_schema.mjs and spacelift_provider.json), which is sufficient for `terraform validate` and for `terraform test` with
// a mocked provider: they check every type, block, reference and expression of the root module, and plan and apply it with
// mocked responses.
//
//     node provider_stand_in.mjs COMMAND [ARGUMENT...]
//
// runs the command with TF_REATTACH_PROVIDERS and exits with its status.

import { spawn } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { require } from "./npm_packages.mjs";
import { PROVIDERS, schemaOf } from "./provider_schema.mjs";

const { Server, ServerCredentials, loadPackageDefinition } = require("@grpc/grpc-js");
const { loadSync } = require("@grpc/proto-loader");

const HERE = dirname(fileURLToPath(import.meta.url));

// Nesting modes of blocks in the protocol.
const SINGLE = 1;
const LIST = 2;
const SET = 3;

const { tfplugin5 } = loadPackageDefinition(loadSync(join(HERE, "provider_stand_in.proto"), { keepCase: true }));

const schemas = { resource_schemas: {}, data_source_schemas: {} };
for (const { kind, type } of ["gcp", "aws"].flatMap((module) => typesUsed(join(HERE, "..", module)))) {
  const schema = schemaOf(type, { data: kind === "data" });
  // Terraform reports unknown types.
  if (schema) schemas[kind === "data" ? "data_source_schemas" : "resource_schemas"][type] = { version: 0, block: inProtocol(schema) };
}
// No package contains these schemas. They are written from the provider's documentation.
for (const [type, schema] of Object.entries(JSON.parse(readFileSync(join(HERE, "spacelift_provider.json"), "utf8")))) {
  schemas.resource_schemas[type] = { version: 0, block: inProtocol(schema) };
}

const server = new Server();
server.addService(tfplugin5.Provider.service, {
  GetSchema: (_, answer) => answer(null, { provider: { version: 0, block: {} }, ...schemas }),
  PrepareProviderConfig: ({ request }, answer) => answer(null, request),
  ValidateResourceTypeConfig: (_, answer) => answer(null, {}),
  ValidateDataSourceConfig: (_, answer) => answer(null, {}),
  Stop: (_, answer) => answer(null, {}),
});

server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  const endpoint = {
    Protocol: "grpc",
    ProtocolVersion: 5,
    Pid: process.pid,
    Test: true,
    Addr: { Network: "tcp", String: `127.0.0.1:${port}` },
  };
  const providers = [...PROVIDERS.map((name) => `hashicorp/${name}`), "spacelift-io/spacelift"];
  const reattach = Object.fromEntries(providers.map((name) => [`registry.terraform.io/${name}`, endpoint]));
  const [command, ...args] = process.argv.slice(2);
  const child = spawn(command, args, {
    stdio: "inherit",
    env: { ...process.env, TF_REATTACH_PROVIDERS: JSON.stringify(reattach) },
  });
  child.on("error", (failure) => {
    console.error(`${command}: ${failure.message}`);
    process.exit(127);
  });
  child.on("exit", (code) => process.exit(code ?? 1));
});

function typesUsed(directory) {
  return readdirSync(directory, { recursive: true })
    .filter((name) => name.endsWith(".tf"))
    .flatMap((name) => [...readFileSync(join(directory, name), "utf8").matchAll(/^(resource|data) "((?:google|aws)_\w+)"/gm)])
    .map(([, kind, type]) => ({ kind, type }));
}

function inProtocol({ attributes, blocks }) {
  return {
    attributes: Object.entries(attributes).map(([name, { type, required, computed, readOnly, sensitive, writeOnly }]) => ({
      name,
      type: Buffer.from(JSON.stringify(type)),
      required,
      optional: !required && !readOnly,
      computed,
      sensitive,
      write_only: writeOnly,
    })),
    block_types: Object.entries(blocks).map(([type_name, { required, repeats, set, block }]) => ({
      type_name,
      block: inProtocol(block),
      nesting: type_name === "timeouts" ? SINGLE : set ? SET : LIST,
      min_items: required ? 1 : 0,
      max_items: repeats || type_name === "timeouts" ? 0 : 1,
    })),
  };
}
