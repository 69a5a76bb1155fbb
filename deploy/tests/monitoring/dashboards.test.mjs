// What Grafana expects of a dashboard, and an operator of its panels.

import assert from "node:assert/strict";
import { test } from "node:test";
import { EXPORTERS, dashboards } from "./files.mjs";
import { panelsOf } from "./grafana.mjs";

const VARIABLES = {
  "spacelift-promex": ["datasource", "job", "instance", "pool"],
  "spot-interruption-exporter": ["datasource", "job", "instance", "cluster"],
};

// Every data source that is named anywhere, whatever names it.
function dataSources(value) {
  if (value === null || typeof value !== "object") return [];
  const own = value.datasource ? [value.datasource] : [];
  return [...own, ...Object.values(value).flatMap(dataSources)];
}

dashboards.forEach((dashboard, index) => {
  const name = EXPORTERS[index];

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
      for (const { expr } of targets) {
        assert.match(expr, /\{job=~"\$job", instance=~"\$instance"/, "does not follow the variables");
        assert.doesNotMatch(expr, /\$__interval/, "a rate over $__interval misses samples");
        if (type === "timeseries" || type === "heatmap") {
          assert.doesNotMatch(expr, /\$__range/, "a graph over $__range is flat");
        }
      }
    });
  }
});
