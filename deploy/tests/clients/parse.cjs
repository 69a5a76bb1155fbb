// Reads a page from standard input with the npm package and writes what it understood as JSON.
// CommonJS, because only `require` looks into NODE_PATH.

const { readFileSync } = require("node:fs");
const parse = require("parse-prometheus-text-format");

const families = parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify(families));
