// What Grafana expects of a dashboard, and an operator of its panels.

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
// Labels that a variable of a dashboard chooses values of: what has such a label follows the variable.
const CHOSEN = {
  "spacelift-promex": {},
  "spacelift-runs": { space: "space", stack: "stack", run_type: "run_type", worker_pool: "pool" },
  "spot-interruption-exporter": { project: "project" },
};
// Panels that repeat fill one page at most: three rows of three.
const MOST_REPEATED = 9;
const SELECTION = `{job=~"$job", instance=~"$instance", cluster=~"$cluster", namespace=~"$namespace", ${RELEASE}=~"$release"`;

// Every data source that is named anywhere, whatever names it.
function dataSources(value) {
  if (value === null || typeof value !== "object") return [];
  const own = value.datasource ? [value.datasource] : [];
  return [...own, ...Object.values(value).flatMap(dataSources)];
}

dashboards.forEach((dashboard, index) => {
  const name = Object.keys(DASHBOARDS)[index];

  test(`${name}: is ready to import anywhere`, () => {
    assert.equal(dashboard.uid, name);
    assert.equal(dashboard.id, null);
    assert.ok(dashboard.schemaVersion >= 42);
    assert.deepEqual(dashboard.templating.list.map((variable) => variable.name), VARIABLES[name]);
    const uids = new Set(dataSources(dashboard).map(({ uid }) => uid));
    assert.deepEqual([...uids].sort(), ["${datasource}", "-- Grafana --"].sort());
  });

  test(`${name}: panels have an id of their own and lie beside each other`, () => {
    const ids = dashboard.panels.map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    const taken = new Map();
    for (const { title, gridPos: { x, y, w, h } } of dashboard.panels) {
      assert.ok(x + w <= 24, `${title} is beyond the right edge`);
      for (let row = y; row < y + h; row++) {
        for (let column = x; column < x + w; column++) {
          const cell = `${column} ${row}`;
          assert.ok(!taken.has(cell), `${title} lies on ${taken.get(cell)}`);
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
      assert.ok(fieldConfig.defaults.noValue, "says nothing without data");
      assert.ok(!/^[\d.]/.test(fieldConfig.defaults.noValue), "claims a number without data");
      if (type === "stat" || type === "gauge") {
        // What is shown without data has the lowest step's colour.
        assert.deepEqual(fieldConfig.defaults.thresholds.steps[0], { color: "text", value: null });
      }
      for (const { expr, legendFormat } of targets) {
        for (const [selector] of expr.matchAll(/(?<![}"])\{[^}]*/g)) {
          assert.ok(selector.startsWith(SELECTION), `${selector} does not follow the variables`);
        }
        if (type === "timeseries" || type === "state-timeline") {
          // Else two series of one name, as after a change of the pod.
          const shown = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label);
          const values = Object.fromEntries(dashboard.templating.list.map(({ name }) => [name, ".*"]));
          const labels = [...labelsOf(substitute(expr, { ...values, ...builtIn(3600, 30) }), families)];
          assert.deepEqual(labels.filter((label) => !shown.includes(label)), [], "labels that the legend does not tell");
        }
        assert.doesNotMatch(expr, /\$__interval/, "a rate over $__interval misses samples");
        if (type === "timeseries" || type === "heatmap") {
          assert.doesNotMatch(expr, /\$__range/, "a graph over $__range is flat");
        }
      }
    });
  }

  test(`${name}: what has a label that is chosen follows the variable`, () => {
    for (const { title, targets } of panelsOf(dashboard)) {
      for (const { expr } of targets) {
        for (const [, metric, selector] of expr.matchAll(/(\w+)(\{[^}]*\})/g)) {
          for (const [label, variable] of Object.entries(CHOSEN[name])) {
            if (!families.get(metric).has(label)) continue;
            assert.ok(selector.includes(`, ${label}=~"$${variable}"`), `${title}: ${metric}${selector} does not follow ${variable}`);
          }
        }
      }
    }
  });

  for (const { repeat, title } of panelsOf(dashboard).filter((panel) => panel.repeat)) {
    test(`${name}: ${title} repeats for a page at most`, () => {
      const { definition } = dashboard.templating.list.find((variable) => variable.name === repeat);
      const [, most] = /^query_result\(topk\((\d+), /.exec(definition) ?? [];
      assert.ok(Number(most) <= MOST_REPEATED, definition);
    });
  }
});
