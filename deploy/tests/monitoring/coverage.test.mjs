// Every alert has a test in which it fires, one in which it does not, a runbook, and thresholds that the charts can change.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ruleTests, rules, runbooks } from "./files.mjs";
import { RELEASE } from "./promql.mjs";

const alerts = rules.filter((rule) => rule.alert);
const checks = ruleTests.flatMap(({ promql_expr_test }) => promql_expr_test);
const asks = (alert) => ({ expr }) => expr === `ALERTS{alertname="${alert}", alertstate="firing"}`;
const records = new Set(rules.filter((rule) => rule.record).map(({ record }) => record));
const RUNBOOKS = "https://github.com/cloud-exporters/cloud-exporters/blob/main/deploy/rules/runbooks.md";

// The charts replace the number or the pattern before such a comment with a value of the chart.
const THRESHOLD = /((?<=[ (])\d+(?:\.\d+)?|(?<==~)"[^"]*") # threshold ([a-z_]+)$/gm;

for (const { alert, expr, labels, annotations } of alerts) {
  const { severity } = labels;
  const fires = ({ exp_samples }) => exp_samples.some((sample) => sample.labels.includes(`severity="${severity}"`));

  test(`${alert} (${severity})`, () => {
    const own = checks.filter(asks(alert));
    assert.ok(own.some(fires), "no test in which it fires");
    assert.ok(own.some((check) => !fires(check)), "no test in which it does not fire");
    assert.match(severity, /^(critical|warning|info)$/);
    assert.deepEqual(Object.keys(annotations).sort(), ["description", "runbook_url", "summary"]);
    assert.equal(annotations.runbook_url, `${RUNBOOKS}#${alert.toLowerCase()}`);
    assert.match(runbooks, new RegExp(`^### ${alert}$`, "m"), "no runbook");
  });

  test(`${alert}: thresholds`, () => {
    const found = [...expr.matchAll(THRESHOLD)];
    assert.equal(found.length, expr.split("#").length - 1, "every comment marks a threshold");
    const keys = found.map(([, , key]) => key);
    assert.equal(new Set(keys).size, keys.length, "a key is used more than once");
    const compared = [...expr.matchAll(/(?:[<>]=?|==) (-?[\d.]+)(.*)$/gm)].map(([, number, rest]) => [Number(number), rest]);
    for (const [number, rest] of compared) {
      assert.ok(number <= 2 || rest.startsWith(" # threshold"), `${number} has no threshold comment`);
    }
  });
}

test("an alert name has one severity", () => {
  const names = alerts.map(({ alert }) => alert);
  assert.equal(new Set(names).size, names.length, "inhibition by name would silence another cluster's alert");
});

test("rules aggregate only over the pods of a release", () => {
  for (const { record, alert, expr } of rules) {
    for (const [, labels] of expr.matchAll(/without \(([^)]*)\)/g)) {
      const dropped = labels.split(/, */).filter((label) => ["cluster", "namespace", "job", RELEASE].includes(label));
      assert.deepEqual(dropped, [], `${record ?? alert} combines releases`);
    }
  }
});

test("every runbook belongs to an alert", () => {
  const sections = [...runbooks.matchAll(/^### (\w+)$/gm)].map(([, name]) => name);
  assert.deepEqual(sections.sort(), [...new Set(alerts.map(({ alert }) => alert))].sort());
});

// Queries of all alerts, in tests that no other alert fires.
const ALL_ALERTS = ["ALERTS", 'ALERTS{alertstate="firing"}'];

test("every rule test queries an existing rule", () => {
  const queried = checks.filter(({ expr }) => !ALL_ALERTS.includes(expr));
  const strange = queried.filter((check) => !records.has(check.expr) && !alerts.some(({ alert }) => asks(alert)(check)));
  assert.deepEqual(strange.map(({ expr }) => expr), []);
});
