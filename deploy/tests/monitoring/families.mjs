// The existing metrics with their possible labels: those of the golden expositions, those that Prometheus adds, and
// those of recording rules.

import { exposition, rules } from "./files.mjs";
import { TARGET_LABELS, labelsOf } from "./promql.mjs";

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? /;
// A golden file contains the labels of build_info without their values.
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

// Adds recorded series. An invalid rule records nothing and is reported by the check of that rule.
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
