// Requirements of Grafana on dashboards, and conventions for panels.

import assert from "node:assert/strict";
import { test } from "node:test";
import { known } from "./families.mjs";
import { DASHBOARDS, dashboards } from "./files.mjs";
import { builtIn, panelsOf, substitute } from "./grafana.mjs";
import { RELEASE, labelsOf } from "./promql.mjs";

const families = known();

const TARGETS = ["cluster", "namespace", "release", "job", "instance"];
const VARIABLES = {
  "spacelift-promex": ["datasource", ...TARGETS, "pool", "detail"],
  "spacelift-runs": ["datasource", ...TARGETS, "space", "stack", "run_type", "pool"],
  "spot-interruption-exporter": ["datasource", ...TARGETS, "project", "spot_cluster"],
};
// Labels that have a variable in a dashboard: queries with such a label must use the variable.
const CHOSEN = {
  "spacelift-promex": {},
  "spacelift-runs": { space: "space", stack: "stack", run_type: "run_type", worker_pool: "pool" },
  "spot-interruption-exporter": { project: "project" },
};
// Repeated panels fill at most one page: three rows of three.
const MOST_REPEATED = 9;
const SELECTION = `{job=~"$job", instance=~"$instance", cluster=~"$cluster", namespace=~"$namespace", ${RELEASE}=~"$release"`;

// All data sources in a dashboard.
function dataSources(value) {
  if (value === null || typeof value !== "object") return [];
  const own = value.datasource ? [value.datasource] : [];
  return [...own, ...Object.values(value).flatMap(dataSources)];
}

dashboards.forEach((dashboard, index) => {
  const name = Object.keys(DASHBOARDS)[index];

  test(`${name}: can be imported into any Grafana`, () => {
    assert.equal(dashboard.uid, name);
    assert.equal(dashboard.id, null);
    assert.ok(dashboard.schemaVersion >= 42);
    assert.deepEqual(dashboard.templating.list.map((variable) => variable.name), VARIABLES[name]);
    const uids = new Set(dataSources(dashboard).map(({ uid }) => uid));
    assert.deepEqual([...uids].sort(), ["${datasource}", "-- Grafana --"].sort());
  });

  test(`${name}: panels have unique ids and do not overlap`, () => {
    const ids = dashboard.panels.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    const taken = new Map();
    for (const { title, gridPos: { x, y, w, h } } of dashboard.panels) {
      assert.ok(x + w <= 24, `${title} is beyond the right edge`);
      for (let row = y; row < y + h; row++) {
        for (let column = x; column < x + w; column++) {
          const cell = `${column} ${row}`;
          assert.ok(!taken.has(cell), `${title} overlaps ${taken.get(cell)}`);
          taken.set(cell, title);
        }
      }
    }
  });

  for (const panel of panelsOf(dashboard)) {
    test(`${name}: ${panel.title}`, () => {
      const { description, fieldConfig, options, targets, type } = panel;
      assert.match(description, /\.$/, "a description is a sentence");
      assert.ok(type === "heatmap" ? options.yAxis.unit : fieldConfig.defaults.unit, "no unit");
      assert.ok(fieldConfig.defaults.noValue, "has no text for missing data");
      assert.ok(!/^[\d.]/.test(fieldConfig.defaults.noValue), "shows a number for missing data");
      if (type === "stat" || type === "gauge") {
        // The text for missing data has the colour of the lowest step.
        assert.deepEqual(fieldConfig.defaults.thresholds.steps[0], { color: "text", value: null });
      }
      for (const { expr, legendFormat } of targets) {
        for (const [selector] of expr.matchAll(/(?<![}"])\{[^}]*/g)) {
          assert.ok(selector.startsWith(SELECTION), `${selector} does not use the variables`);
        }
        if (type === "timeseries" || type === "state-timeline") {
          // Otherwise two series have the same name, for example after a change of the pod.
          const shown = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label);
          const values = Object.fromEntries(dashboard.templating.list.map(({ name }) => [name, ".*"]));
          const labels = [...labelsOf(substitute(expr, { ...values, ...builtIn(3600, 30) }), families)];
          assert.deepEqual(labels.filter((label) => !shown.includes(label)), [], "labels that are missing in the legend");
        }
        assert.doesNotMatch(expr, /\$__interval/, "a rate over $__interval misses samples");
        if (type === "timeseries" || type === "heatmap") {
          assert.doesNotMatch(expr, /\$__range/, "a graph over $__range is flat");
        }
      }
    });
  }

  test(`${name}: queries with a selectable label use the variable`, () => {
    for (const { title, targets } of panelsOf(dashboard)) {
      for (const { expr } of targets) {
        for (const [, metric, selector] of expr.matchAll(/(\w+)(\{[^}]*\})/g)) {
          for (const [label, variable] of Object.entries(CHOSEN[name])) {
            if (!families.get(metric).has(label)) continue;
            assert.ok(selector.includes(`, ${label}=~"$${variable}"`), `${title}: ${metric}${selector} does not use ${variable}`);
          }
        }
      }
    }
  });

  for (const { repeat, title } of panelsOf(dashboard).filter((panel) => panel.repeat)) {
    test(`${name}: ${title} repeats for at most one page`, () => {
      const { definition } = dashboard.templating.list.find((variable) => variable.name === repeat);
      const [, most] = /^query_result\(topk\((\d+), /.exec(definition) ?? [];
      assert.ok(Number(most) <= MOST_REPEATED, definition);
    });
  }
});
