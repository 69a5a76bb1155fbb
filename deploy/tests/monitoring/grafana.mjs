// Processing of dashboards in Grafana before it queries Prometheus.

// Replaces $name, ${name} and ${name:format} with values. A variable without a value is an error.
export function substitute(text, values) {
  return text.replace(/\$(?:\{(\w+)(?::\w+)?\}|(\w+))/g, (found, braced, plain) => {
    const value = values[braced ?? plain];
    if (value === undefined) throw new Error(`there is no variable ${found} in ${text}`);
    return value;
  });
}

// Returns the values of the built-in variables for a time range, a scrape interval (both in seconds) and the minimum
// interval of a panel; and the step between the points of a graph.
export function builtIn(range, scrapeInterval, panelInterval = "0m") {
  const [, minutes] = /^(\d+)m$/.exec(panelInterval);
  const step = Math.max(Math.ceil(range / 360), scrapeInterval, 60 * minutes);
  const rate = Math.max(step + scrapeInterval, 4 * scrapeInterval);
  return { step, __range: `${range}s`, __interval: `${step}s`, __rate_interval: `${rate}s` };
}

// Returns how a variable gets its values: from the labels of series (`label_values(selector, label)`), or from the text
// of a result by a regular expression (`query_result(query)`).
export function optionsOf({ definition, regex }) {
  const [, selector, label] = /^label_values\((.*), (\w+)\)$/.exec(definition) ?? [];
  if (selector) return { selector, label };
  const [, query] = /^query_result\((.*)\)$/.exec(definition) ?? [];
  const [, pattern] = /^\/(.*)\/$/.exec(regex) ?? [];
  if (!query || !pattern) throw new Error(`only label_values and query_result with a regex are understood, not ${definition}`);
  return { query, pattern: new RegExp(pattern) };
}

// Returns the sorted values of a variable from a Prometheus; variables in `text` are already replaced.
export async function valuesOf(variable, prometheus, text, range = {}) {
  const { selector, label, query, pattern } = optionsOf(variable);
  if (selector) {
    const series = await prometheus.get("series", { "match[]": text(selector), ...range });
    return [...new Set(series.map((labels) => labels[label]).filter(Boolean))].sort();
  }
  // The format in which Grafana prints a sample.
  const quoted = (labels) => Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const printed = (await prometheus.query(text(query))).map(({ metric, value }) => `{${quoted(metric)}} ${value[1]} ${value[0] * 1000}`);
  return [...new Set(printed.map((line) => pattern.exec(line)?.[1]).filter(Boolean))].sort();
}

// Panels with content, including those in collapsed rows.
export const panelsOf = (dashboard) =>
  dashboard.panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]).filter((panel) => panel.type !== "row");
