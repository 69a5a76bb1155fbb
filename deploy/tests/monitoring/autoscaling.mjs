// What prometheus-adapter and KEDA do with their configuration before they ask Prometheus.

// An external metric's query for a selector, as the adapter expands its template.
export function adapterQuery({ metricsQuery }, series, matchLabels) {
  const values = { Series: series, LabelMatchers: Object.entries(matchLabels).map(([k, v]) => `${k}="${v}"`).join(",") };
  return metricsQuery.replace(/<<\s*\.(\w+)\s*>>/g, (found, name) => {
    if (!(name in values)) throw new Error(`the adapter's ${found} is not understood here`);
    return values[name];
  });
}

// The metric that an adapter's rule is about.
export const seriesOf = ({ seriesQuery }) => /^[a-zA-Z_:][\w:]*/.exec(seriesQuery)[0];

export const matchLabelsOf = (metric) => metric.external.metric.selector.matchLabels;
