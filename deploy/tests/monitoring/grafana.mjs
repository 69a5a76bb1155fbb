// What Grafana does with a dashboard before it asks Prometheus.

// Puts values in the place of $name, ${name} and ${name:format}. A variable without a value is an error.
export function substitute(text, values) {
  return text.replace(/\$(?:\{(\w+)(?::\w+)?\}|(\w+))/g, (found, braced, plain) => {
    const value = values[braced ?? plain];
    if (value === undefined) throw new Error(`there is no variable ${found} in ${text}`);
    return value;
  });
}

// What the built-in variables stand for with a range and an interval between scrapes, in seconds, and a panel's own
// least interval; and the step between the points of a graph.
export function builtIn(range, scrapeInterval, panelInterval = "0m") {
  const [, minutes] = /^(\d+)m$/.exec(panelInterval);
  const step = Math.max(Math.ceil(range / 360), scrapeInterval, 60 * minutes);
  const rate = Math.max(step + scrapeInterval, 4 * scrapeInterval);
  return { step, __range: `${range}s`, __interval: `${step}s`, __rate_interval: `${rate}s` };
}

// How a variable gets its values: from the labels of series (`label_values(selector, label)`), or from the text of an
// answer by a regular expression (`query_result(query)`).
export function optionsOf({ definition, regex }) {
  const [, selector, label] = /^label_values\((.*), (\w+)\)$/.exec(definition) ?? [];
  if (selector) return { selector, label };
  const [, query] = /^query_result\((.*)\)$/.exec(definition) ?? [];
  const [, pattern] = /^\/(.*)\/$/.exec(regex) ?? [];
  if (!query || !pattern) throw new Error(`only label_values and query_result with a regex are understood, not ${definition}`);
  return { query, pattern: new RegExp(pattern) };
}

// The values of a variable, in order, in a Prometheus that is given; `text` has the variables in it replaced.
export async function valuesOf(variable, prometheus, text, range = {}) {
  const { selector, label, query, pattern } = optionsOf(variable);
  if (selector) {
    const series = await prometheus.get("series", { "match[]": text(selector), ...range });
    return [...new Set(series.map((labels) => labels[label]).filter(Boolean))].sort();
  }
  // As Grafana prints a sample.
  const quoted = (labels) => Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const printed = (await prometheus.query(text(query))).map(({ metric, value }) => `{${quoted(metric)}} ${value[1]} ${value[0] * 1000}`);
  return [...new Set(printed.map((line) => pattern.exec(line)?.[1]).filter(Boolean))].sort();
}

// Panels that show something, those in collapsed rows included.
export const panelsOf = (dashboard) =>
  dashboard.panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]).filter((panel) => panel.type !== "row");
