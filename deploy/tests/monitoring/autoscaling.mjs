// Processing of the configuration of prometheus-adapter and KEDA before they query Prometheus.

// Returns the query of an external metric for a selector, as the adapter expands its template.
export function adapterQuery({ metricsQuery }, series, matchLabels) {
  const values = { Series: series, LabelMatchers: Object.entries(matchLabels).map(([k, v]) => `${k}="${v}"`).join(",") };
  return metricsQuery.replace(/<<\s*\.(\w+)\s*>>/g, (found, name) => {
    if (!(name in values)) throw new Error(`the adapter's ${found} is not understood here`);
    return values[name];
  });
}

// Returns the metric of an adapter rule.
export const seriesOf = ({ seriesQuery }) => /^[a-zA-Z_:][\w:]*/.exec(seriesQuery)[0];

export const matchLabelsOf = (metric) => metric.external.metric.selector.matchLabels;
