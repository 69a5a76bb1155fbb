// The metrics that there are and the labels that each may have: those of the golden expositions, those that
// Prometheus adds, and what the rules record.

import { exposition, rules } from "./files.mjs";
import { TARGET_LABELS, labelsOf } from "./promql.mjs";

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? /;
// A golden file gives the labels of a build_info without their values, which change.
const LABEL = /([a-zA-Z_]\w*)(?:="(?:\\.|[^"\\])*")?,?/g;

const OF_PROMETHEUS = ["up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_series_added"];

export function exposed(lines) {
  const families = new Map(OF_PROMETHEUS.map((name) => [name, new Set(TARGET_LABELS)]));
  families.set("ALERTS", new Set(["alertname", "alertstate", "severity", ...TARGET_LABELS]));
  for (const line of lines) {
    const [, name, labels = ""] = SAMPLE.exec(line) ?? [];
    if (!name) continue;
    if (!families.has(name)) families.set(name, new Set(TARGET_LABELS));
    for (const [, label] of labels.matchAll(LABEL)) families.get(name).add(label);
  }
  return families;
}

// With what the rules record. A rule that is wrong records nothing; the check of the rule itself says so.
export function known() {
  const families = exposed(exposition);
  for (const { record, expr, labels = {} } of rules.filter((rule) => rule.record)) {
    try {
      families.set(record, new Set([...labelsOf(expr, families), ...Object.keys(labels)]));
    } catch {
      continue;
    }
  }
  return families;
}
