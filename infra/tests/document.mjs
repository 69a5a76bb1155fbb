// Generates the tables of inputs and outputs in a module's README.md from its variables.tf and outputs.tf.
//
//     node document.mjs MODULE            compares; exits with status 1 and prints the first difference
//     node document.mjs MODULE --write    writes

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { require } from "./npm_packages.mjs";

const { parse } = require("@cdktf/hcl2json");

const BEGIN = "<!-- Made from variables.tf and outputs.tf by infra/tests/document.mjs -->\n";
const END = "<!-- End of what is made -->\n";

const [module, write] = process.argv.slice(2);
const { variable } = await read("variables.tf");
const { output } = await read("outputs.tf");

const inputs = Object.entries(variable)
  .map(([name, [{ type, description, ...rest }]]) => ({ name, type: type.replace(/^\$\{(.*)\}$/s, "$1"), description, ...rest }))
  // Required inputs are first; the others are in alphabetical order.
  .sort((a, b) => ("default" in a) - ("default" in b) || a.name.localeCompare(b.name))
  .map((input) => [`\`${input.name}\``, `\`${input.type}\``, "default" in input ? `\`${JSON.stringify(input.default)}\`` : "required", input.description]);

const outputs = Object.entries(output)
  .sort(([a], [b]) => a.localeCompare(b))
  .map(([name, [{ description }]]) => [`\`${name}\``, description]);

const tables = `${BEGIN}
### Inputs

${table(["name", "type", "default", "what it is"], inputs)}
### Outputs

${table(["name", "what it is"], outputs)}
${END}`;

const file = join(module, "README.md");
const readme = readFileSync(file, "utf8");
const [before, ...others] = readme.split(BEGIN);
const after = others.join(BEGIN).split(END)[1];
if (after === undefined) throw new Error(`${file} lacks the marks between which the tables belong`);
const wanted = before + tables + after;

if (write === "--write") {
  writeFileSync(file, wanted);
} else if (readme !== wanted) {
  console.error(`${file} is not what variables.tf and outputs.tf say; infra/tests/run --write brings it up to date`);
  process.exitCode = 1;
} else {
  console.log(`${inputs.length} inputs and ${outputs.length} outputs`);
}

async function read(name) {
  return parse(name, readFileSync(join(module, name), "utf8"));
}

function table(head, rows) {
  const lines = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`);
  return `${lines.join("\n")}\n`;
}
