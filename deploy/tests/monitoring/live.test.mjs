// Runs all queries in a Prometheus that scrapes both exporters with simulated services. Each query must return data.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { adapterQuery, matchLabelsOf, seriesOf } from "./autoscaling.mjs";
import { DASHBOARDS, adapterRules, dashboards, hpa, rules, scaledObject } from "./files.mjs";
import { builtIn, panelsOf, substitute, valuesOf } from "./grafana.mjs";
import { FOUND_PROJECT, start, until } from "./world.mjs";

// The simulation is fast enough for interruptions within seconds.
const SPEED = 10;
// Subqueries use whole minutes, so the first result can take a minute. All tests share one simulation, so only the first
// test waits.
const PATIENCE = 100;
const patience = () => Math.max(10, PATIENCE - world.age());
const RANGE = 300;

let world;
let prometheus;
let pools;

before(async () => {
  world = await start({ speed: SPEED });
  ({ prometheus } = world);
  pools = await until("worker pools", 30, async () => {
    const series = await prometheus.query("max by (worker_pool_id) (spacelift_worker_pool_workers)");
    return series.length > 0 && series.map(({ metric }) => metric.worker_pool_id);
  });
  await until("runs", 60, async () => (await prometheus.query("spacelift_runs_total > 0")).length > 0);
  await until("interruptions", 60, async () => (await prometheus.query("interruption_events_total > 0")).length > 0);
});

after(() => world?.stop());

// A result must be a finite number: quantiles and rates without data are not.
const answered = (query) =>
  until(query, patience(), async () => {
    const series = await prometheus.query(query);
    return series.some(({ value }) => Number.isFinite(Number(value[1])));
  });

for (const dashboard of dashboards) {
  // The jobs have the names of the exporters.
  const values = ({ interval } = {}) => ({
    ...Object.fromEntries(dashboard.templating.list.map(({ name, allValue }) => [name, allValue ?? (name === "job" ? DASHBOARDS[dashboard.uid] : ".*")])),
    ...builtIn(RANGE, world.scrapeInterval, interval),
  });
  for (const variable of dashboard.templating.list.filter(({ type }) => type === "query")) {
    test(`${dashboard.uid}: variable ${variable.name} has values`, async () => {
      const found = await until(variable.definition, patience(), async () => {
        const options = await valuesOf(variable, prometheus, (text) => substitute(text, values()));
        return options.length > 0 && options;
      });
      if (variable.name === "project") assert.ok(found.includes(FOUND_PROJECT), found.join());
      if (variable.name === "detail") assert.ok(found.every((name) => !name.includes('"')), found.join());
    });
  }
  for (const panel of panelsOf(dashboard)) {
    test(`${dashboard.uid}: ${panel.title}`, async () => {
      for (const { expr } of panel.targets) await answered(substitute(expr, values(panel)));
    });
  }
}

// Returns the numbers that a panel shows for one release.
async function shown(dashboard, panel, release) {
  const named = dashboard.templating.list.map(({ name, allValue }) => [name, allValue ?? ".*"]);
  const values = { ...Object.fromEntries(named), release, ...builtIn(RANGE, world.scrapeInterval, panel.interval) };
  return (await prometheus.query(substitute(panel.targets[0].expr, values))).map(({ value }) => Number(value[1]));
}

const spacelift = dashboards[0];
const mapped = ({ fieldConfig }) => fieldConfig.defaults.mappings?.flatMap(({ options }) => Object.entries(options)) ?? [];
const optional = panelsOf(spacelift).filter((panel) => mapped(panel).some(([, { text }]) => text === "collector off"));

test("panels of disabled collectors show that they are disabled", async () => {
  assert.ok(optional.length >= 6);
  for (const panel of optional) {
    const [value] = mapped(panel).find(([, { text }]) => text === "collector off");
    assert.deepEqual(await shown(spacelift, panel, "plain"), [Number(value)], panel.title);
    assert.ok((await shown(spacelift, panel, "demo"))[0] >= 0, panel.title);
  }
});

test("panels of runs show no data for a release without webhooks", async () => {
  const release = '{app_kubernetes_io_instance="plain"}';
  assert.notEqual((await prometheus.query(`spacelift_build_info${release}`)).length, 0);
  for (const metric of ["spacelift_webhook_deliveries_total", "spacelift_runs_active", "spacelift_webhook_last_delivery_timestamp_seconds"]) {
    assert.deepEqual(await prometheus.query(metric + release), [], metric);
    assert.notEqual((await prometheus.query(metric)).length, 0, metric);
  }
});

test("single values of a missing release have no data", async () => {
  for (const dashboard of dashboards) {
    for (const panel of panelsOf(dashboard).filter(({ type }) => type === "stat" || type === "gauge")) {
      assert.deepEqual(await shown(dashboard, panel, "nobody"), [], panel.title);
    }
  }
});

for (const { record } of rules.filter((rule) => rule.record)) {
  test(`records ${record}`, () => answered(record));
}

test("every rule is evaluated without an error", async () => {
  const states = await until("the first evaluation of every rule", patience(), async () => {
    const { groups } = await prometheus.get("rules");
    const all = groups.flatMap((group) => group.rules);
    return all.every(({ health }) => health !== "unknown") && all;
  });
  assert.equal(states.length, rules.length);
  assert.deepEqual(states.filter(({ health }) => health !== "ok").map(({ name, lastError }) => [name, lastError]), []);
});

test("no alert fires about healthy exporters", async () => {
  const alerts = await prometheus.query('ALERTS{alertname=~"SpaceliftPromex.*|SpotInterruptionExporter.*"}');
  assert.deepEqual(alerts.map(({ metric }) => metric.alertname), []);
});

// The only series that an autoscaler receives.
async function only(query) {
  const series = await prometheus.query(query);
  assert.equal(series.length, 1, `${series.length} series from ${query}`);
  assert.ok(Number.isFinite(Number(series[0].value[1])), `${series[0].value[1]} from ${query}`);
  return series[0].metric;
}

for (const rule of adapterRules) {
  const name = rule.name.as;

  test(`prometheus-adapter: ${name} has one series for each pool`, async () => {
    const found = await prometheus.get("series", { "match[]": rule.seriesQuery });
    assert.deepEqual([...new Set(found.map(({ __name__ }) => __name__))], [seriesOf(rule)]);
    const series = await prometheus.query(adapterQuery(rule, seriesOf(rule), {}));
    assert.deepEqual(series.map(({ metric }) => metric.worker_pool_id).sort(), [...pools].sort());
  });

  test(`the HPA's selector matches ${name} of each pool`, async () => {
    const metric = hpa.spec.metrics.find(({ external }) => external.metric.name === name);
    for (const pool of pools) {
      const matchLabels = Object.fromEntries(Object.keys(matchLabelsOf(metric)).map((label) => [label, pool]));
      const labels = await only(adapterQuery(rule, seriesOf(rule), matchLabels));
      assert.equal(labels.worker_pool_id, pool);
    }
  });
}

test("KEDA's query has one result for each pool", async () => {
  const [{ metadata }] = scaledObject.spec.triggers;
  const [example] = new Set(hpa.spec.metrics.flatMap((metric) => Object.values(matchLabelsOf(metric))));
  for (const pool of pools) await only(metadata.query.replaceAll(example, pool));
  assert.ok(Object.values(metadata).every((value) => typeof value === "string"), "KEDA accepts only strings");
});
