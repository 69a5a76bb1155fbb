// Draws the panels of a dashboard with data of a running Prometheus, without Grafana:
//
//     node render.mjs --dashboard ../spacelift-promex.json --out picture.png [--prometheus http://localhost:9090]
//                     [--range 1800] [--scrape-interval 5] [--until "Title of a row"]
//
// It reads the dashboard, makes the queries of Grafana, and draws the types of panels that the dashboards contain.
// NODE_PATH must contain the packages of deploy/tests/monitoring; chromium renders the picture.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { builtIn, substitute, valuesOf } from "../../tests/monitoring/grafana.mjs";
import { Prometheus } from "../../tests/monitoring/prometheus.mjs";
import { transform } from "./transform.mjs";

const WIDTH = 1600;
const COLUMNS = 24;

const { values: options } = parseArgs({
  options: {
    dashboard: { type: "string" },
    out: { type: "string" },
    prometheus: { type: "string", default: "http://localhost:9090" },
    range: { type: "string", default: "1800" },
    "scrape-interval": { type: "string", default: "5" },
    until: { type: "string" },
  },
});

const dashboard = JSON.parse(readFileSync(options.dashboard, "utf8"));
const prometheus = new Prometheus(options.prometheus);
const range = Number(options.range);
const scrapeInterval = Number(options["scrape-interval"]);
const end = Math.floor(Date.now() / 1000);
const variables = dashboard.templating.list.filter(({ type }) => type === "query");
const values = {};

const allOf = (name) =>
  valuesOf(variables.find((variable) => variable.name === name), prometheus, (text) => substitute(text, values), { start: end - range });

// All values of each variable, in order, because a variable can depend on those before it.
for (const variable of variables) values[variable.name] = variable.allValue ?? (await allOf(variable.name)).join("|");

// Copies repeated panels and moves the panels below.
async function laidOut(panels) {
  const placed = [];
  let moved = 0;
  for (const panel of panels) {
    if (panel.title === options.until) break;
    const own = { values, gridPos: { ...panel.gridPos, y: panel.gridPos.y + moved } };
    if (!panel.repeat) {
      placed.push({ ...panel, ...own });
      continue;
    }
    const { h, y } = own.gridPos;
    const w = COLUMNS / panel.maxPerRow;
    const repeated = await allOf(panel.repeat);
    repeated.forEach((value, index) => {
      const gridPos = { h, w, x: (index % panel.maxPerRow) * w, y: y + Math.floor(index / panel.maxPerRow) * h };
      placed.push({ ...panel, gridPos, values: { ...values, [panel.repeat]: value } });
    });
    moved += (Math.ceil(repeated.length / panel.maxPerRow) - 1) * h;
  }
  return placed;
}

function legend({ legendFormat }, metric) {
  if (legendFormat === "__auto") return Object.values(metric).join(" ");
  return legendFormat.replace(/\{\{\s*(\w+)\s*\}\}/g, (_, label) => metric[label] ?? "");
}

async function series(target, query, step) {
  const found = await prometheus.range(query, end - range, end, step);
  const times = Array.from({ length: Math.floor(range / step) + 1 }, (_, index) => end - range + index * step);
  return found.map(({ metric, values }) => {
    const at = new Map(values.map(([time, value]) => [time, Number(value)]));
    return { name: legend(target, metric), metric, times, values: times.map((time) => at.get(time) ?? null) };
  });
}

async function withData(panel) {
  const { title, type, targets = [] } = panel;
  const { step, ...intervals } = builtIn(range, scrapeInterval, panel.interval);
  const own = { ...panel.values, ...intervals };
  const answers = targets.map(async (target) => {
    const query = substitute(target.expr, own);
    if (type !== "table") return series(target, query, step);
    return (await prometheus.query(query, end)).map(({ metric, value }) => ({ metric, value: Number(value[1]), refId: target.refId }));
  });
  const data = (await Promise.all(answers)).flat();
  const table = type === "table" ? transform(data, targets.length, panel.transformations) : undefined;
  return { ...panel, title: title && substitute(title, own), data, table };
}

const panels = [];
for (const panel of await laidOut(dashboard.panels)) panels.push(await withData(panel));

const page = JSON.stringify({
  title: dashboard.title,
  source: `deploy/dashboards/${dashboard.uid}.json`,
  variables: variables.map(({ label }) => label),
  range: `Last ${Math.round(range / 60)} minutes`,
  start: end - range,
  end,
  panels,
});

const here = dirname(fileURLToPath(import.meta.url));
const uplot = dirname(createRequire(import.meta.url).resolve("uplot"));
const read = (...path) => readFileSync(join(...path), "utf8");
const html = `<!doctype html><meta charset="utf-8">
<style>${read(uplot, "uPlot.min.css")}${read(here, "page.css")}</style>
<body></body>
<script>${read(uplot, "uPlot.iife.min.js")}</script>
<script>const dashboard = ${page.replaceAll("</", "<\\/")};</script>
<script>${read(here, "page.js")}</script>`;

const work = mkdtempSync(join(tmpdir(), "render-"));
writeFileSync(join(work, "page.html"), html);
const rows = Math.max(...panels.map(({ gridPos }) => gridPos.y + gridPos.h));
execFileSync(
  "chromium",
  [
    ...["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", `--user-data-dir=${work}/profile`],
    ...[`--window-size=${WIDTH},${64 + rows * 38}`, `--screenshot=${join(process.cwd(), options.out)}`, `file://${work}/page.html`],
  ],
  { stdio: ["ignore", "ignore", "pipe"] },
);
rmSync(work, { recursive: true });
