// Tests of the check of names.

import assert from "node:assert/strict";
import { test } from "node:test";
import { exposed } from "./families.mjs";
import { TARGET_LABELS, labelsOf } from "./promql.mjs";

const families = exposed([
  '# HELP a_total Some text with b{c="d"} in it',
  'a_total{pool="x",state="with } and \\" and , c=\\"d\\""} 1',
  "b …",
  'h_bucket{le="1.0",pool="x"} …',
  "info{version,commit} 1",
]);

const target = (...labels) => [...TARGET_LABELS, ...labels].sort();
const labels = (expression) => [...labelsOf(expression, families)].sort();

for (const [expression, expected] of [
  ["a_total", target("pool", "state")],
  ["info", target("commit", "version")],
  ["sum(a_total)", []],
  ["sum by (pool) (rate(a_total[5m] offset 1h))", ["pool"]],
  ["max without (instance, pod) (b)", target().filter((label) => !["instance", "pod"].includes(label))],
  ["histogram_quantile(0.9, sum by (le, pool) (rate(h_bucket[5m])))", ["pool"]],
  ["quantile_over_time(0.9, b[5m])", target()],
  ["topk(5, sum by (pool) (a_total))", ["pool"]],
  ["sum by (pool) (a_total) / ignoring (state) group_right () sum by (pool, state) (a_total)", ["pool", "state"]],
  ["sum by (pool, state) (a_total) and on (pool) sum by (pool) (h_bucket) > 1", ["pool", "state"]],
  ["max_over_time(sum by (pool) (a_total)[1h:1m])", ["pool"]],
  ["time() - b", target()],
  ["-2 * group by (pool) (a_total)", ["pool"]],
  ["sum by (pool) (a_total) or vector(0)", ["pool"]],
  ["clamp_min(sum by (pool) ({__name__=\"a_total\"}), 1)", ["pool"]],
]) {
  test(`accepts ${expression}`, () => assert.deepEqual(labels(expression), expected));
}

for (const [expression, reason] of [
  ["sum(a_total", /not PromQL/],
  ["c_total", /nothing exposes c_total/],
  ['a_total{pol="x"}', /no label pol/],
  ["sum by (pol) (a_total)", /no label pol/],
  ["sum without (pol) (a_total)", /no label pol/],
  ["sum by (pool) (sum by (state) (a_total))", /no label pool/],
  ["a_total + on (pool) b", /no label pool/],
  ["sum by (pool) (a_total) / sum by (state) (a_total)", /only one side/],
  ["a_total unless sum(b)", /only one side/],
  ["histogram_quantile(0.9, b)", /no label le/],
]) {
  test(`rejects ${expression}`, () => assert.throws(() => labels(expression), reason));
}
