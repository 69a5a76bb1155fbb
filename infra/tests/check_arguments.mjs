// Checks the arguments of every google and aws resource and data source without the providers: unknown and missing arguments,
// and repeated blocks. Rejects resources that manage all members of a role or all policies of an identity, because an apply
// would remove those of others.
//
//     node check_arguments.mjs DIRECTORY...

import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { pathToFileURL } from "node:url";

import { require } from "./npm_packages.mjs";
import { PROVIDERS, schemaOf } from "./provider_schema.mjs";

const { parse } = require("@cdktf/hcl2json");

const META_ARGUMENTS = new Set(["count", "for_each", "depends_on", "provider", "lifecycle", "provisioner", "connection"]);
// Types that remove what Terraform does not manage, and what to use instead.
const AUTHORITATIVE = [
  { type: /^google_.*_iam_(binding|policy)$/, complaint: "manages every member of a role; use _iam_member" },
  { type: /^aws_iam_policy_attachment$|^aws_iam_.*_exclusive$/, complaint: "manages every policy or member; use aws_iam_role_policy" },
];

/** Returns the complaints about the text of a .tf file, and the number of checked blocks. */
export async function check(file, text) {
  const parsed = await parse(file, text);
  const complaints = [];
  let blocks = 0;
  for (const [kind, data] of [["resource", false], ["data", true]]) {
    for (const [type, named] of Object.entries(parsed[kind] ?? {})) {
      if (!PROVIDERS.some((prefix) => type.startsWith(`${prefix}_`))) continue;
      for (const [name, bodies] of Object.entries(named)) {
        const address = `${file}: ${data ? "data." : ""}${type}.${name}`;
        blocks += 1;
        for (const { type: authoritative, complaint } of data ? [] : AUTHORITATIVE) {
          if (authoritative.test(type)) complaints.push(`${address}: ${complaint}`);
        }
        const schema = schemaOf(type, { data });
        if (!schema) complaints.push(`${address}: no such type`);
        else for (const body of bodies) complaints.push(...complaintsAbout(address, withoutMeta(body), schema));
      }
    }
  }
  return { complaints, blocks };
}

function withoutMeta(body) {
  return Object.fromEntries(Object.entries(body).filter(([key]) => !META_ARGUMENTS.has(key)));
}

function complaintsAbout(address, { dynamic, ...body }, schema) {
  const complaints = [];
  const given = new Map(Object.entries(body));

  // A dynamic block can occur any number of times.
  const generated = new Map();
  for (const [name, blocks] of Object.entries(dynamic ?? {})) generated.set(name, blocks.flatMap((block) => block.content));

  for (const [name, attribute] of Object.entries(schema.attributes)) {
    if (attribute.required && !given.has(name)) complaints.push(`${address}: ${name} is missing`);
  }
  for (const [name, { required, repeats }] of Object.entries(schema.blocks)) {
    if (required && !given.has(name) && !generated.has(name)) complaints.push(`${address}: block ${name} is missing`);
    if (!repeats && Array.isArray(given.get(name)) && given.get(name).length > 1) complaints.push(`${address}: block ${name} may not repeat`);
  }
  for (const [name, value] of [...given, ...generated]) {
    if (schema.blocks[name]) {
      for (const block of [value].flat()) complaints.push(...complaintsAbout(`${address}: ${name}`, block, schema.blocks[name].block));
    } else if (!schema.attributes[name]) {
      complaints.push(`${address}: ${name} is unknown`);
    } else if (schema.attributes[name].readOnly) {
      complaints.push(`${address}: ${name} cannot be set`);
    } else if (generated.has(name)) {
      complaints.push(`${address}: ${name} is no block`);
    }
  }
  return complaints;
}

function filesBelow(directory) {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name.startsWith(".")) return [];
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return filesBelow(path);
    return entry.name.endsWith(".tf") ? [path] : [];
  });
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const files = process.argv.slice(2).flatMap(filesBelow);
  const complaints = [];
  let blocks = 0;
  for (const file of files) {
    const found = await check(relative(process.cwd(), file), readFileSync(file, "utf8"));
    complaints.push(...found.complaints);
    blocks += found.blocks;
  }
  for (const complaint of complaints) console.error(complaint);
  console.log(`${blocks} resources and data sources in ${files.length} files, ${complaints.length} complaints`);
  // Without checked blocks, the check is not meaningful.
  process.exitCode = complaints.length > 0 || blocks === 0 ? 1 : 0;
}
