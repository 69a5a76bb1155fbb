// Determines which labels the series of an expression can have. Unknown metrics and labels are errors, and so are binary
// operations whose sides can never match.

import { createRequire } from "node:module";

const { parser } = createRequire(import.meta.url)("@prometheus-io/lezer-promql");

// The labels of each target: from Prometheus, its operator and the charts' monitors (the release), and `cluster` if several
// clusters report to one Prometheus.
export const RELEASE = "app_kubernetes_io_instance";
export const TARGET_LABELS = ["job", "instance", "namespace", "pod", "service", "endpoint", "container", "cluster", RELEASE];

const KEEPING_LABELS = new Set(["topk", "bottomk"]);
const SET_OPERATORS = new Set(["And", "Unless"]);

// Throws an Error with the problem; `families` maps names of metrics to sets of labels.
export function labelsOf(expression, families) {
  const text = (node) => expression.slice(node.from, node.to);
  const string = (node) => JSON.parse(text(node).replace(/^'(.*)'$/s, '"$1"'));
  const names = (node) => node.getChildren("LabelName").map(text);

  function require(labels, wanted, where) {
    for (const label of wanted) {
      if (!labels.has(label)) throw new Error(`there is no label ${label} ${where}: ${[...labels].join(", ")}`);
    }
  }

  // A set of labels, or null if the expression is not a vector.
  function walk(node) {
    switch (node.name) {
      case "VectorSelector":
        return selector(node);
      case "AggregateExpr":
        return aggregation(node);
      case "BinaryExpr":
        return operation(node);
      case "FunctionCall":
        return call(node);
      case "NumberDurationLiteral":
      case "StringLiteral":
        return null;
      case "UnaryExpr":
        return walk(node.lastChild);
      default:
        // Parentheses, ranges, offsets and subqueries do not change labels.
        return walk(node.firstChild);
    }
  }

  function selector(node) {
    const matchers = node.getChild("LabelMatchers")?.getChildren("UnquotedLabelMatcher") ?? [];
    const named = matchers.find((matcher) => text(matcher.getChild("LabelName")) === "__name__");
    const identifier = node.getChild("Identifier");
    const metric = identifier ? text(identifier) : string(named.getChild("StringLiteral"));
    const labels = families.get(metric);
    if (!labels) throw new Error(`nothing exposes ${metric}`);
    require(labels, matchers.filter((matcher) => matcher !== named).flatMap(names), `on ${metric}`);
    return new Set(labels);
  }

  function aggregation(node) {
    const operator = text(node.getChild("AggregateOp"));
    const inner = args(node).findLast((labels) => labels);
    const modifier = node.getChild("AggregateModifier");
    if (!modifier) return KEEPING_LABELS.has(operator) ? inner : new Set();
    const listed = names(modifier.getChild("GroupingLabels"));
    const without = modifier.getChild("Without");
    // `without (pod)` is also valid without the label pod.
    require(new Set([...inner, ...(without ? TARGET_LABELS : [])]), listed, `to ${operator} ${text(modifier)}`);
    if (KEEPING_LABELS.has(operator)) return inner;
    return without ? minus(inner, listed) : new Set(listed);
  }

  function operation(node) {
    const [left, right] = [walk(node.firstChild), walk(node.lastChild)];
    if (!left || !right) return left ?? right;
    const operator = node.firstChild.nextSibling.name;
    // A label that exists only on one side need not match.
    if (operator === "Or") return new Set([...left, ...right]);
    const clause = node.getChild("MatchingModifierClause");
    const [listed = [], included = []] = clause?.getChildren("GroupingLabels").map(names) ?? [];
    const where = `to match in ${text(node)}`;
    let matched;
    if (clause?.getChild("On")) {
      for (const side of [left, right]) require(side, listed, where);
      matched = new Set(listed);
    } else {
      matched = minus(left, listed);
      const other = minus(right, listed);
      const only = [...minus(matched, other), ...minus(other, matched)];
      if (only.length) throw new Error(`only one side has the labels ${only.join(", ")} ${where}`);
    }
    if (SET_OPERATORS.has(operator)) return left;
    if (clause?.getChild("GroupLeft")) return new Set([...left, ...included]);
    if (clause?.getChild("GroupRight")) return new Set([...right, ...included]);
    return matched;
  }

  function call(node) {
    const name = text(node.firstChild);
    const inner = args(node).find((labels) => labels) ?? null;
    switch (name) {
      case "time":
      case "scalar":
        return null;
      case "vector":
        return new Set();
      case "absent":
        return inner;
      case "histogram_quantile":
        require(inner, ["le"], "for histogram_quantile");
        return minus(inner, ["le"]);
      case "label_replace":
      case "label_join":
        throw new Error(`${name} is not understood here`);
      default:
        return inner;
    }
  }

  function args(node) {
    const list = [];
    for (let child = node.getChild("FunctionCallBody").firstChild; child; child = child.nextSibling) list.push(walk(child));
    return list;
  }

  const { topNode } = parser.parse(expression);
  topNode.cursor().iterate((node) => {
    if (node.type.isError) throw new Error(`not PromQL at ${node.from}: ${expression}`);
  });
  return walk(topNode);
}

function minus(labels, others) {
  const rest = new Set(labels);
  for (const label of others) rest.delete(label);
  return rest;
}
