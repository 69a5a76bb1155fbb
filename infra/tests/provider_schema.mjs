// The schema of a resource or data source of the google or aws provider: arguments, required arguments, blocks and computed
// attributes. It is read from the type declarations of the npm packages @cdktf/provider-google and @cdktf/provider-aws, which
// are generated from the providers' schemas (google 7.x, aws 6.25.0).

import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { resolve } from "./npm_packages.mjs";

/** The providers whose schemas are known, by the prefix of their types. */
export const PROVIDERS = ["google", "aws"];

const loaded = new Map();

/** The schema of a type such as google_pubsub_topic or aws_sqs_queue, or null if there is no such type. */
export function schemaOf(type, { data = false } = {}) {
  const provider = PROVIDERS.find((prefix) => type.startsWith(`${prefix}_`));
  const library = join(dirname(resolve(`@cdktf/provider-${provider}/package.json`)), "lib");
  const directory = join(library, (data ? `data-${provider}-` : "") + type.slice(provider.length + 1).replaceAll("_", "-"));
  if (!loaded.has(directory)) loaded.set(directory, existsSync(directory) ? load(directory) : null);
  return loaded.get(directory);
}

function load(directory) {
  const declarations = readFileSync(join(directory, "index.d.ts"), "utf8");
  const source = readFileSync(join(directory, "index.js"), "utf8");
  const [, root] = declarations.match(/export interface (\w+) extends cdktf\.TerraformMetaArguments/);
  const block = blockOf(root, interfacesIn(declarations), setsIn(source));
  // In the declarations, but not an argument.
  block.attributes.id = { type: "string", required: false, computed: true, readOnly: true };
  for (const [name, type] of computedIn(source)) {
    block.attributes[name] ??= { type, required: false, computed: true, readOnly: true };
  }
  return block;
}

// Every property has a comment with a link that ends with its Terraform name.
function interfacesIn(declarations) {
  const interfaces = new Map();
  for (const [, name, body] of declarations.matchAll(/export interface (\w+)[^{]*\{\n([\s\S]*?)\n\}/g)) {
    const properties = [...body.matchAll(/\{@link \S+#(\w+) [\s\S]*?\*\/\s*readonly \w+(\?)?: (\{[^}]*\}[^;]*|[^;{]*);$/gm)];
    interfaces.set(name, properties.map(([, property, optional, type]) => ({ property, required: !optional, type: type.replace(/\s+/g, " ") })));
  }
  return interfaces;
}

function blockOf(name, interfaces, sets) {
  const block = { attributes: {}, blocks: {} };
  const ofThis = sets.get(name[0].toLowerCase() + name.slice(1)) ?? sets.get("synthesizeHclAttributes");
  for (const { property, required, type } of interfaces.get(name)) {
    const set = ofThis.has(property);
    const named = type.match(/^(\w+)(\[\])?( \| cdktf\.IResolvable)?$/);
    if (named && interfaces.has(named[1])) {
      block.blocks[property] = { required, repeats: Boolean(named[2]), set, block: blockOf(named[1], interfaces, sets) };
    } else {
      block.attributes[property] = { type: typeOf(type, set), required, computed: false };
    }
  }
  return block;
}

// Determines which properties are sets. The declarations do not contain this, but the function that serializes the block or
// the resource does.
function setsIn(source) {
  const sets = new Map();
  const functions = /^function (\w+)ToHclTerraform\(struct\) \{([\s\S]*?)\n\}/gm;
  const method = /^ {4}(synthesizeHclAttributes)\(\) \{([\s\S]*?)\n {4}\}/gm;
  for (const [, nested, body] of [...source.matchAll(functions), ...source.matchAll(method)]) {
    const names = [...body.matchAll(/(\w+): \{\s+value: .*\s+isBlock: \w+,\s+type: "set"/g)];
    sets.set(nested, new Set(names.map(([, name]) => name)));
  }
  return sets;
}

// The Terraform notation of a type.
function typeOf(declared, set = false) {
  const type = declared.replace(" | cdktf.IResolvable", "");
  const simple = { string: "string", number: "number", boolean: "bool" }[type];
  if (simple) return simple;
  const list = type.match(/^(.+)\[\]$/);
  if (list) return [set ? "set" : "list", typeOf(list[1])];
  const map = type.match(/^\{ \[key: string\]: (.+?);? \}$/);
  if (map) return ["map", typeOf(map[1])];
  throw new Error(`a type that was not expected: ${declared}`);
}

function computedIn(source) {
  const getters = source.matchAll(/computed: true, optional: false, required: false\s+get \w+\(\) \{\s+return this\.get(String|Number|Boolean)Attribute\('(\w+)'\)/g);
  return [...getters].map(([, type, name]) => [name, { String: "string", Number: "number", Boolean: "bool" }[type]]);
}
