// The files under test: rules and their tests, dashboards, autoscaling.

import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const { parse } = createRequire(import.meta.url)("yaml");

export const root = fileURLToPath(new URL("../../..", import.meta.url));
export const EXPORTERS = ["spacelift-promex", "spot-interruption-exporter"];

const read = (path) => readFileSync(join(root, path), "utf8");
const yaml = (path) => parse(read(path));

export const rulePaths = EXPORTERS.map((name) => join(root, `deploy/rules/${name}.yaml`));
export const rules = EXPORTERS.flatMap((name) =>
  yaml(`deploy/rules/${name}.yaml`).groups.flatMap(({ rules }) => rules.map((rule) => ({ ...rule, file: name }))),
);
export const ruleTests = EXPORTERS.flatMap((name) => yaml(`deploy/rules/tests/${name}.yaml`).tests);
export const runbooks = read("deploy/rules/runbooks.md");
// Each dashboard with its exporter.
export const DASHBOARDS = { "spacelift-promex": "spacelift-promex", "spacelift-runs": "spacelift-promex", "spot-interruption-exporter": "spot-interruption-exporter" };
export const dashboards = Object.keys(DASHBOARDS).map((name) => JSON.parse(read(`deploy/dashboards/${name}.json`)));

const autoscaling = "deploy/examples/autoscaling";
export const adapterRules = yaml(`${autoscaling}/prometheus-adapter-values.yaml`).rules.external;
export const hpa = yaml(`${autoscaling}/hpa.yaml`);
export const scaledObject = yaml(`${autoscaling}/keda-scaledobject.yaml`);

export const inhibition = yaml("deploy/examples/alertmanager/inhibition.yaml");

// The lines of all golden expositions.
export const exposition = EXPORTERS.flatMap((name) => {
  const golden = `crates/${name}/tests/golden`;
  const files = readdirSync(join(root, golden)).filter((file) => file.endsWith(".prom"));
  return files.flatMap((file) => read(join(golden, file)).split("\n"));
});
