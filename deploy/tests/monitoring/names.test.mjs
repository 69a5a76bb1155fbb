// Every metric and label in rules, dashboards and autoscaling exists.

import assert from "node:assert/strict";
import { test } from "node:test";
import { adapterQuery, matchLabelsOf, seriesOf } from "./autoscaling.mjs";
import { known } from "./families.mjs";
import { adapterRules, dashboards, exposition, hpa, ruleTests, rules, scaledObject } from "./files.mjs";
import { builtIn, optionsOf, panelsOf, substitute } from "./grafana.mjs";
import { labelsOf } from "./promql.mjs";

const families = known();

function assertLabels(labels, wanted, where) {
  for (const label of wanted) assert.ok(labels.has(label), `${where} contains ${label}; existing labels: ${[...labels].join(", ")}`);
}

const matches = (text, pattern) => [...text.matchAll(pattern)].map(([, name]) => name);

for (const name of [...families.keys()].filter((name) => name.endsWith("_bucket"))) {
  test(`${name} has a bucket +Inf, without which quantiles are NaN`, () => {
    assert.ok(exposition.some((line) => line.startsWith(`${name}{`) && line.includes('le="+Inf"')));
  });
}

for (const { record, alert, expr, labels = {}, annotations = {}, file } of rules) {
  test(`${file}: ${record ?? `${alert} (${labels.severity})`}`, () => {
    const found = new Set([...labelsOf(expr, families), ...Object.keys(labels)]);
    for (const [name, text] of Object.entries(annotations)) {
      assertLabels(found, matches(text, /\$labels\.(\w+)/g), `annotation ${name}`);
    }
  });
}

for (const { name, input_series } of ruleTests) {
  test(`series of the rule test: ${name}`, () => {
    for (const { series } of input_series) labelsOf(series, families);
  });
}

for (const dashboard of dashboards) {
  const variables = dashboard.templating.list.filter((variable) => variable.type === "query");
  const values = Object.fromEntries(variables.map(({ name }) => [name, ".*"]));
  for (const variable of variables) {
    test(`${dashboard.uid}: variable ${variable.name}`, () => {
      const { selector, label, query, pattern } = optionsOf(variable);
      const labels = labelsOf(substitute(selector ?? query, values), families);
      assertLabels(labels, [label ?? /^(\w+)=/.exec(pattern.source)[1]], variable.definition);
    });
  }
  for (const annotation of dashboard.annotations.list.filter(({ expr }) => expr)) {
    test(`${dashboard.uid}: annotation ${annotation.name}`, () => void labelsOf(substitute(annotation.expr, values), families));
  }
  for (const panel of panelsOf(dashboard)) {
    test(`${dashboard.uid}: ${panel.title}`, () => {
      const fields = new Set(["Time", "Value"]);
      for (const { expr, legendFormat, refId } of panel.targets) {
        const labels = labelsOf(substitute(expr, { ...values, ...builtIn(3600, 30) }), families);
        for (const field of [...labels, `Value #${refId}`]) fields.add(field);
        assertLabels(labels, matches(legendFormat, /\{\{\s*(\w+)\s*\}\}/g), `legend of ${refId}`);
      }
      for (const { options } of panel.transformations ?? []) {
        const { excludeByName = {}, indexByName = {}, renameByName = {}, rowField, columnField, valueField } = options;
        const named = [excludeByName, indexByName, renameByName].flatMap(Object.keys);
        assertLabels(fields, [...named, rowField, columnField, valueField].filter(Boolean), "transformation");
      }
    });
  }
}

for (const rule of adapterRules) {
  test(`prometheus-adapter: ${rule.name.as}`, () => {
    labelsOf(rule.seriesQuery, families);
    for (const metric of hpa.spec.metrics) {
      const query = adapterQuery(rule, seriesOf(rule), matchLabelsOf(metric));
      assertLabels(labelsOf(query, families), Object.keys(matchLabelsOf(metric)), "the HPA's selector");
    }
  });
}

test("prometheus-adapter does not filter by namespace", () => {
  for (const { resources } of adapterRules) assert.deepEqual(resources, { namespaced: false });
});

test("the HPA's metrics are the adapter's", () => {
  const names = hpa.spec.metrics.map(({ external }) => external.metric.name);
  assert.deepEqual(names, adapterRules.map(({ name }) => name.as));
});

for (const { metadata } of scaledObject.spec.triggers) {
  test("KEDA: the query", () => void labelsOf(metadata.query, families));
}
