// Every alert is tested both ways, and explained.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ruleTests, rules, runbooks } from "./files.mjs";

const alerts = rules.filter((rule) => rule.alert);
const checks = ruleTests.flatMap(({ promql_expr_test }) => promql_expr_test);
const asks = (alert) => ({ expr }) => expr === `ALERTS{alertname="${alert}", alertstate="firing"}`;
const RUNBOOKS = "https://github.com/cloud-exporters/cloud-exporters/blob/main/deploy/rules/runbooks.md";

for (const { alert, labels, annotations } of alerts) {
  const { severity } = labels;
  const fires = ({ exp_samples }) => exp_samples.some((sample) => sample.labels.includes(`severity="${severity}"`));

  test(`${alert} (${severity})`, () => {
    const own = checks.filter(asks(alert));
    assert.ok(own.some(fires), "no test in which it fires");
    assert.ok(own.some((check) => !fires(check)), "no test in which it is silent");
    assert.match(severity, /^(critical|warning|info)$/);
    assert.deepEqual(Object.keys(annotations).sort(), ["description", "runbook_url", "summary"]);
    assert.equal(annotations.runbook_url, `${RUNBOOKS}#${alert.toLowerCase()}`);
    assert.match(runbooks, new RegExp(`^### ${alert}$`, "m"), "no runbook");
  });
}

test("every runbook has its alert", () => {
  const sections = [...runbooks.matchAll(/^### (\w+)$/gm)].map(([, name]) => name);
  assert.deepEqual(sections.sort(), [...new Set(alerts.map(({ alert }) => alert))].sort());
});

test("every rule test asks for an alert that there is", () => {
  const strange = checks.filter((check) => !alerts.some(({ alert }) => asks(alert)(check)));
  assert.deepEqual(strange.map(({ expr }) => expr), []);
});
