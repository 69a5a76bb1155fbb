// Starts the sandbox, both exporters and a real Prometheus with the rules, on free ports. The environment variables
// MONITORING_<NAME> contain the paths of the programs.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { rulePaths } from "./files.mjs";
import { RELEASE } from "./promql.mjs";
import { Prometheus } from "./prometheus.mjs";

const COLLECTORS = ["pools", "limits", "integrations", "stacks", "attention", "dora"];
const SCRAPE_INTERVAL = 1;
const WEBHOOK_SECRET = "known-to-the-sandbox-and-one-exporter";
// A project that is not configured: the exporter discovers it in the organisation.
export const FOUND_PROJECT = "example-shop";

// Calls `probe` until it returns a value. Fails with the last error after the timeout.
export async function until(what, seconds, probe) {
  let reason = "it did not come";
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await delay(200)) {
    try {
      const value = await probe();
      if (value) return value;
    } catch (error) {
      reason = error.message;
    }
  }
  throw new Error(`waited ${seconds} s for ${what}: ${reason}`);
}

export async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}

export async function start({ speed }) {
  const directory = mkdtempSync(join(tmpdir(), "monitoring-"));
  const children = [];
  const [spacelift, pubsub, compute, promex, plain, webhook, spot, prometheus] = (await freePorts(8)).map((port) => `127.0.0.1:${port}`);

  function run(name, program, args, environment = {}) {
    const log = join(directory, `${name}.log`);
    const output = openSync(log, "w");
    const child = spawn(program, args, { env: { PATH: process.env.PATH, ...environment }, stdio: ["ignore", output, output] });
    children.push({ name, child, log });
  }

  // Reports an exited program instead of its consequences.
  function assertRunning() {
    for (const { name, child, log } of children) {
      if (child.exitCode !== null || child.signalCode) throw new Error(`${name} has ended:\n${readFileSync(log, "utf8")}`);
    }
  }

  async function stop() {
    for (const { child } of children) child.kill();
    await Promise.all(children.map(({ child }) => child.exitCode !== null || child.signalCode || once(child, "exit")));
    rmSync(directory, { recursive: true });
  }

  // All programs are stopped when this process exits.
  process.once("exit", () => children.forEach(({ child }) => child.kill()));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.once(signal, () => process.exit(1));

  const answers = (url) => () => {
    assertRunning();
    return fetch(url).then(({ ok }) => ok);
  };

  run("sandbox", process.env.MONITORING_SANDBOX, [
    ...["all", "--listen", spacelift, "--pubsub-listen", pubsub, "--compute-listen", compute, "--speed", speed],
    ...["--aws-listen", "127.0.0.1:0", "--aws-scale", "0", "--projects", FOUND_PROJECT],
    ...["--webhook-url", `http://${webhook}/webhook`, "--webhook-secret", WEBHOOK_SECRET, "--webhook-shape", "both"],
  ]);
  // Two releases: one with all collectors and webhooks, one with the defaults.
  const everything = [
    ...COLLECTORS.map((collector) => `--collector.${collector}`),
    ...["--webhook.secret", WEBHOOK_SECRET, "--webhook.listen-address", webhook, "--state.path", join(directory, "runs")],
  ];
  for (const [name, address, flags] of [["spacelift-promex", promex, everything], ["plain", plain, []]]) {
    run(name, process.env.MONITORING_SPACELIFT_PROMEX, ["serve", "--listen-address", address, ...flags], {
      SPACELIFT_PROMEX_API_ENDPOINT: `http://${spacelift}`,
      SPACELIFT_PROMEX_API_KEY_ID: "01K5SANDB0XAP1KEY000000000",
      SPACELIFT_PROMEX_API_KEY_SECRET: "sandbox-secret",
    });
  }
  run("spot-interruption-exporter", process.env.MONITORING_SPOT_INTERRUPTION_EXPORTER, [], {
    SIE_PROJECT_NAME: "example-project",
    SIE_PUBSUB__INSTANCE_CREATION_SUBSCRIPTION_NAME: "sie-creation-subscription",
    SIE_PUBSUB__INSTANCE_INTERRUPTION_SUBSCRIPTION_NAME: "sie-interruption-subscription",
    SIE_PUBSUB__ENDPOINT: `http://${pubsub}`,
    SIE_COMPUTE__ENDPOINT: `http://${compute}`,
    SIE_COMPUTE__RESYNC_INTERVAL: "5s",
    SIE_GCP__DISCOVER: "organizations/1",
    SIE_GCP__ASSET_ENDPOINT: `http://${compute}`,
    SIE_PROMETHEUS__ADDRESS: spot,
    SIE_STATE__PATH: join(directory, "state"),
  });

  const configuration = join(directory, "prometheus.yml");
  const jobs = { "spacelift-promex": { demo: promex, plain }, "spot-interruption-exporter": { demo: spot } };
  // Adds the labels that the charts' monitors and a central Prometheus add.
  const targets = (releases) =>
    Object.entries(releases).map(([release, address]) => ({
      targets: [address],
      labels: { cluster: "laptop", namespace: "monitoring", [RELEASE]: release },
    }));
  writeFileSync(
    configuration,
    JSON.stringify({
      global: { scrape_interval: `${SCRAPE_INTERVAL}s`, evaluation_interval: "1s" },
      rule_files: rulePaths,
      scrape_configs: Object.entries(jobs).map(([job_name, releases]) => ({ job_name, static_configs: targets(releases) })),
    }),
  );
  run("prometheus", "prometheus", [
    `--config.file=${configuration}`,
    `--storage.tsdb.path=${join(directory, "data")}`,
    `--web.listen-address=${prometheus}`,
  ]);

  try {
    for (const address of [promex, plain]) await until("spacelift-promex to be ready", 30, answers(`http://${address}/ready`));
    await until("spot-interruption-exporter to be ready", 30, answers(`http://${spot}/ready`));
    await until("Prometheus to be ready", 30, answers(`http://${prometheus}/-/ready`));
  } catch (error) {
    await stop();
    throw error;
  }
  const born = Date.now();
  return {
    prometheus: new Prometheus(`http://${prometheus}`),
    scrapeInterval: SCRAPE_INTERVAL,
    age: () => (Date.now() - born) / 1000,
    stop,
  };
}
