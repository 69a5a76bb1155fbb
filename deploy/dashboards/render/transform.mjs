// The Grafana transformations that the tables use: samples become rows of named fields.

export function transform(samples, targets, transformations) {
  const field = (refId) => (targets > 1 ? `Value #${refId}` : "Value");
  let rows = samples.map(({ metric, value, refId }) => ({ ...metric, [field(refId)]: value }));
  for (const { id, options } of transformations) rows = TRANSFORMATIONS[id](rows, options);
  const columns = [...new Set(rows.flatMap(Object.keys))].filter((name) => name !== "__name__");
  return { columns, rows };
}

const TRANSFORMATIONS = {
  // Rows with equal labels are merged.
  merge(rows) {
    const merged = new Map();
    for (const row of rows) {
      const labels = Object.entries(row).filter(([name]) => !name.startsWith("Value"));
      const key = JSON.stringify(labels.sort());
      merged.set(key, { ...merged.get(key), ...row });
    }
    return [...merged.values()];
  },

  organize(rows, { excludeByName, indexByName, renameByName }) {
    const order = Object.keys(indexByName).sort((a, b) => indexByName[a] - indexByName[b]);
    const kept = order.filter((name) => !excludeByName[name]);
    return rows.map((row) => Object.fromEntries(kept.map((name) => [renameByName[name] ?? name, row[name] ?? null])));
  },

  groupingToMatrix(rows, { rowField, columnField, valueField }) {
    const corner = `${rowField}\\${columnField}`;
    const columns = [...new Set(rows.map((row) => row[columnField]))].sort();
    const names = [...new Set(rows.map((row) => row[rowField]))].sort();
    const cell = (name, column) => rows.find((row) => row[rowField] === name && row[columnField] === column);
    return names.map((name) => ({
      [corner]: name,
      ...Object.fromEntries(columns.map((column) => [column, cell(name, column)?.[valueField] ?? null])),
    }));
  },
};
