// The mixin evaluates to the rules and dashboards of the files, modified by its configuration.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { dashboards, root, rules } from "./files.mjs";

const EVALUATE = "import sys; print(__import__(sys.argv[1]).evaluate_snippet('test', sys.argv[2]))";
const IMPLEMENTATIONS = ["_jsonnet", "rjsonnet"];

function evaluate(config, implementation = IMPLEMENTATIONS[0]) {
  const program = `
    local mixin = (import "${join(root, "deploy/mixin/mixin.libsonnet")}") + { _config+:: ${JSON.stringify(config)} };
    { rules: mixin.prometheusRules, alerts: mixin.prometheusAlerts, dashboards: mixin.grafanaDashboards }`;
  const options = { encoding: "utf8", maxBuffer: 2 ** 26, stdio: ["ignore", "pipe", "pipe"] };
  return JSON.parse(execFileSync(process.env.MONITORING_PYTHON, ["-c", EVALUATE, implementation, program], options));
}

const rulesOf = ({ groups }) => groups.flatMap((group) => group.rules);
const without = (expr) => expr.replace(/ # threshold [a-z_]+$/gm, "");
const of = (kind) => rules.filter((rule) => rule[kind]).map(({ file, ...rule }) => ({ ...rule, expr: without(rule.expr) }));

function assertValid({ groups }) {
  const directory = mkdtempSync(join(tmpdir(), "mixin-"));
  try {
    writeFileSync(join(directory, "rules.yaml"), JSON.stringify({ groups }));
    execFileSync("promtool", ["check", "rules", join(directory, "rules.yaml")], { stdio: "pipe" });
  } finally {
    rmSync(directory, { recursive: true });
  }
}

for (const implementation of IMPLEMENTATIONS) {
  test(`${implementation}: the defaults equal the files`, () => {
    const mixin = evaluate({}, implementation);
    assert.deepEqual(rulesOf(mixin.rules), of("record"));
    assert.deepEqual(rulesOf(mixin.alerts), of("alert"));
    assert.deepEqual(mixin.dashboards, Object.fromEntries(dashboards.map((dashboard) => [`${dashboard.uid}.json`, dashboard])));
    assertValid(mixin.rules);
    assertValid(mixin.alerts);
  });
}

test("the configuration sets job, cluster label, thresholds, labels and tags", () => {
  const mixin = evaluate({
    selectors: { "spacelift-promex": 'job=~"promex|other"', "spot-interruption-exporter": 'job="spot", namespace="monitoring"' },
    clusterLabel: "target_cluster",
    thresholds: { SpotInterruptionNodesLost: { share: 0.4, for: "5m" }, SpaceliftWorkerPoolQueueLong: { runs: 50 }, SpaceliftRunFailed: { stack: "prod-\\d+" } },
    disabled: ["SpotInterruptionHotspot"],
    additionalRuleLabels: { team: "platform" },
    dashboardTags: ["ours"],
  });
  const text = JSON.stringify(mixin);
  for (const absent of ["kubernetes_cluster", 'job=\\"spacelift-promex\\"', 'job=\\"spot-interruption-exporter\\"', "# threshold"]) {
    assert.ok(!text.includes(absent), absent);
  }
  const alerts = new Map(rulesOf(mixin.alerts).map((rule) => [rule.alert, rule]));
  assert.match(alerts.get("SpotInterruptionNodesLost").expr, /ratio10m >= 0\.4\n/);
  assert.match(alerts.get("SpotInterruptionNodesLost").expr, /increase10m >= 3\n/);
  assert.equal(alerts.get("SpotInterruptionNodesLost").for, "5m");
  assert.match(alerts.get("SpaceliftWorkerPoolQueueLong").expr, />= 50\n/);
  assert.match(alerts.get("SpaceliftRunFailed").expr, /stack=~"prod-\\\\d\+"\n/);
  assert.match(alerts.get("SpaceliftPromexDown").expr, /up\{job=~"promex\|other"\}/);
  assert.match(alerts.get("SpotInterruptionExporterDown").expr, /up\{job="spot", namespace="monitoring"\}/);
  assert.equal(alerts.size, of("alert").length - 1);
  for (const { labels } of alerts.values()) assert.equal(labels.team, "platform");
  for (const { tags } of Object.values(mixin.dashboards)) assert.ok(tags.includes("ours"));
  assertValid(mixin.rules);
  assertValid(mixin.alerts);
});

for (const [what, config, reason] of [
  ["an unknown alert's thresholds", { thresholds: { SpotInterruptionNodeLost: { share: 0.4 } } }, /there is no alert SpotInterruptionNodeLost/],
  ["an unknown alert that is disabled", { disabled: ["Nothing"] }, /there is no alert Nothing/],
  ["a number for a pattern", { thresholds: { SpaceliftRunFailed: { stack: 7 } } }, /SpaceliftRunFailed.stack must be a string/],
  ["a text for a number", { thresholds: { SpotInterruptionNodesLost: { share: "much" } } }, /SpotInterruptionNodesLost.share must be a number/],
  ["an unknown threshold", { thresholds: { SpotInterruptionNodesLost: { shares: 0.4 } } }, /has no shares, it has: for, share, interruptions/],
]) {
  test(`rejects ${what}`, () => assert.throws(() => evaluate(config), reason));
}
