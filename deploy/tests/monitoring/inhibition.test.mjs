// The inhibition rules in a real Alertmanager, together with the default rule of kube-prometheus-stack, queried by amtool.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { inhibition, rules } from "./files.mjs";
import { freePorts, until } from "./world.mjs";

const SEVERITIES = ["info", "warning"];
// From the values.yaml of kube-prometheus-stack.
const DEFAULTS = [
  {
    source_matchers: ['severity = "critical"'],
    target_matchers: ['severity =~ "warning|info"'],
    equal: ["namespace", "alertname"],
  },
  { source_matchers: ['severity = "warning"'], target_matchers: ['severity = "info"'], equal: ["namespace", "alertname"] },
];

let alertmanager;
let address;
let directory;

const amtool = (...args) => execFileSync("amtool", [`--alertmanager.url=http://${address}`, ...args], { encoding: "utf8" });
const alerts = new Map(rules.filter((rule) => rule.alert).map((rule) => [rule.alert, rule]));

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "inhibition-"));
  const configuration = join(directory, "alertmanager.yml");
  const inhibit_rules = [...DEFAULTS, ...inhibition.inhibit_rules];
  writeFileSync(configuration, JSON.stringify({ route: { receiver: "nobody" }, receivers: [{ name: "nobody" }], inhibit_rules }));
  execFileSync("amtool", ["check-config", configuration]);
  address = `127.0.0.1:${(await freePorts(1))[0]}`;
  alertmanager = spawn(
    process.env.MONITORING_ALERTMANAGER,
    [`--config.file=${configuration}`, `--storage.path=${directory}`, `--web.listen-address=${address}`, "--cluster.listen-address="],
    { stdio: "ignore" },
  );
  process.once("exit", () => alertmanager.kill());
  await until("Alertmanager", 30, () => fetch(`http://${address}/-/ready`).then(({ ok }) => ok));
});

after(async () => {
  alertmanager.kill();
  await new Promise((resolve) => alertmanager.once("exit", resolve));
  rmSync(directory, { recursive: true });
});

// Fires alerts in a separate namespace and returns which of them are inhibited.
let namespaces = 0;
async function inhibited(...raised) {
  const namespace = `test-${namespaces++}`;
  for (const { alert, ...labels } of raised) {
    const { severity } = alerts.get(alert).labels;
    const all = { alertname: alert, severity, namespace, ...labels };
    amtool("alert", "add", ...Object.entries(all).map(([name, value]) => `${name}=${value}`));
  }
  const query = (...flags) => JSON.parse(amtool("alert", "query", "--output=json", ...flags, `namespace=${namespace}`));
  // Alertmanager updates the inhibition when it evaluates the alerts, at the latest with the next ones.
  await until(`${raised.length} alerts`, 10, () => query("--active", "--inhibited").length === raised.length);
  return query("--inhibited").map(({ labels }) => labels);
}

const names = (labels) => labels.map(({ alertname }) => alertname).sort();
const spot = { job: "spot-interruption-exporter", app_kubernetes_io_instance: "spot", cluster_location: "europe-west1", project: "p" };

test("a critical alert about one cluster does not silence the warning about another", async () => {
  const found = await inhibited(
    { alert: "SpotInterruptionMostNodesLost", kubernetes_cluster: "east", ...spot },
    { alert: "SpotInterruptionNodesLost", kubernetes_cluster: "east", ...spot },
    { alert: "SpotInterruptionNodesLost", kubernetes_cluster: "west", ...spot },
  );
  assert.deepEqual(found.map(({ alertname, kubernetes_cluster }) => [alertname, kubernetes_cluster]), [["SpotInterruptionNodesLost", "east"]]);
});

test("a stuck worker pool silences its other alerts, but none of another pool or account", async () => {
  const pool = { job: "spacelift-promex", app_kubernetes_io_instance: "acme", worker_pool_id: "P" };
  const found = await inhibited(
    { alert: "SpaceliftWorkerPoolStuck", ...pool },
    { alert: "SpaceliftWorkerPoolEmpty", ...pool },
    { alert: "SpaceliftWorkerPoolQueueLong", ...pool },
    { alert: "SpaceliftWorkerPoolQueueLong", ...pool, worker_pool_id: "Q" },
    { alert: "SpaceliftWorkerPoolEmpty", ...pool, app_kubernetes_io_instance: "other" },
  );
  assert.deepEqual(found.map(({ alertname, worker_pool_id, app_kubernetes_io_instance }) => [alertname, worker_pool_id, app_kubernetes_io_instance]).sort(), [
    ["SpaceliftWorkerPoolEmpty", "P", "acme"],
    ["SpaceliftWorkerPoolQueueLong", "P", "acme"],
  ]);
});

test("a state that cannot be written silences the webhook alerts that it causes", async () => {
  const promex = { job: "spacelift-promex", app_kubernetes_io_instance: "acme" };
  const found = await inhibited(
    { alert: "SpaceliftPromexStateFailing", ...promex },
    { alert: "SpaceliftPromexNotReady", ...promex, condition: "state" },
    { alert: "SpaceliftWebhookDeliveriesRejected", ...promex, result: "overloaded" },
    { alert: "SpaceliftWebhookSilent", ...promex, app_kubernetes_io_instance: "other" },
  );
  assert.deepEqual(names(found), ["SpaceliftPromexStateFailing", "SpaceliftWebhookDeliveriesRejected"]);
});

test("the cause of unknown instances silences its consequences in the same release", async () => {
  const other = { ...spot, app_kubernetes_io_instance: "other" };
  const found = await inhibited(
    { alert: "SpotInterruptionExporterLookupsFailing", ...spot },
    { alert: "SpotInterruptionsUnattributed", ...spot },
    { alert: "SpotInterruptionsHeld", ...other },
  );
  assert.deepEqual(names(found), ["SpotInterruptionsUnattributed"]);
});

test("a false condition silences the alert with the same meaning", async () => {
  const found = await inhibited(
    { alert: "SpotInterruptionExporterNotReady", ...spot, condition: "state" },
    { alert: "SpotInterruptionExporterStateFailing", ...spot },
    { alert: "SpotInterruptionExporterResyncFailing", ...spot },
  );
  assert.deepEqual(names(found), ["SpotInterruptionExporterStateFailing"]);
});

test("queues that cannot be read silence late interruptions, and regions that cannot be listed fire one alert", async () => {
  const found = await inhibited(
    { alert: "SpotInterruptionExporterNotReady", ...spot, condition: "queue" },
    { alert: "SpotInterruptionsDeliveredLate", ...spot },
    { alert: "SpotInterruptionExporterNotReady", ...spot, condition: "ec2" },
    { alert: "SpotInterruptionExporterResyncFailing", ...spot },
    { alert: "SpotInterruptionExporterScopesFailing", ...spot },
  );
  assert.deepEqual(names(found), ["SpotInterruptionExporterResyncFailing", "SpotInterruptionsDeliveredLate"]);
});

test("operations that are the only source and cannot be listed fire one alert", async () => {
  const found = await inhibited(
    { alert: "SpotInterruptionExporterNotReady", ...spot, condition: "operations" },
    { alert: "SpotInterruptionExporterOperationsFailing", ...spot },
    { alert: "SpotInterruptionExporterScopesFailing", ...spot },
  );
  assert.deepEqual(names(found), ["SpotInterruptionExporterOperationsFailing"]);
});

test("the rules contain only existing alerts, and no target pages", () => {
  for (const { source_matchers, target_matchers } of inhibition.inhibit_rules) {
    for (const [matchers, targets] of [[source_matchers, false], [target_matchers, true]]) {
      const [, operator, pattern] = /^alertname (=~?) "(.*)"$/.exec(matchers[0]);
      const found = [...alerts.values()].filter(({ alert }) => (operator === "=" ? alert === pattern : new RegExp(`^(?:${pattern})$`).test(alert)));
      // Each alternative is the name of an alert.
      const alternatives = pattern.split("|").length;
      assert.ok(found.length >= alternatives, `${pattern} finds ${found.map(({ alert }) => alert)}`);
      if (targets) for (const { alert, labels } of found) assert.ok(SEVERITIES.includes(labels.severity), `${alert} pages`);
    }
  }
});
