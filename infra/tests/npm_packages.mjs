// Resolves npm packages from INFRA_TESTS_NODE_MODULES, which is outside the repository.

import { createRequire } from "node:module";
import { join } from "node:path";

const directory = process.env.INFRA_TESTS_NODE_MODULES;

export const require = createRequire(directory ? join(directory, "..", "index.js") : import.meta.url);
export const resolve = require.resolve;
