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

// `label_values(metric, label)` by its parts.
export function labelValues(definition) {
  const [, selector, label] = /^label_values\((.*), (\w+)\)$/.exec(definition) ?? [];
  if (!selector) throw new Error(`only label_values is understood, not ${definition}`);
  return { selector, label };
}

// Panels that show something, those in collapsed rows included.
export const panelsOf = (dashboard) =>
  dashboard.panels.flatMap((panel) => [panel, ...(panel.panels ?? [])]).filter((panel) => panel.type !== "row");
