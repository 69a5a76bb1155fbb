"""Third-party clients. Each reader returns the samples that the client reads: series -> value."""

import json
import os
import pathlib
import subprocess
import urllib.request

# The stand-in of the agent rejects labels such as `version` only in Datadog's own integrations.
os.environ["DDEV_SKIP_GENERIC_TAGS_CHECK"] = "true"

from datadog_checks.base.checks.openmetrics.v2.base import OpenMetricsBaseCheckV2
from datadog_checks.base.stubs import aggregator
from page import series
from prometheus_client import parser as classic
from prometheus_client.openmetrics import parser as strict

HERE = pathlib.Path(__file__).parent
TEXT = "text/plain; version=0.0.4"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0"


def get(url, accept=TEXT):
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith(accept.split(";")[0]), answer.headers["Content-Type"]
        return answer.read().decode()


def python_classic(url, page):
    families = classic.text_string_to_metric_families(get(url))
    return {series(sample.name, sample.labels): sample.value for family in families for sample in family.samples}


def python_strict(url, page):
    families = strict.text_string_to_metric_families(get(url, OPEN_METRICS))
    return {series(sample.name, sample.labels): sample.value for family in families for sample in family.samples}


def npm(url, page):
    finished = subprocess.run(
        ["node", HERE / "parse.cjs"], input=get(url), text=True, stdout=subprocess.PIPE, check=True
    )
    found = {}
    for family in json.loads(finished.stdout):
        for metric in family["metrics"]:
            if family["type"] != "HISTOGRAM":
                found[series(family["name"], metric.get("labels", {}))] = float(metric["value"])
            elif not has_labels(page, family["name"]):
                found[series(f"{family['name']}_sum", {})] = float(metric["sum"])
                found[series(f"{family['name']}_count", {})] = float(metric["count"])
                for bound, count in metric["buckets"].items():
                    found[series(f"{family['name']}_bucket", {"le": bound})] = float(count)
    return found


def has_labels(page, histogram):
    return any(labels for name, labels in page.samples if name == f"{histogram}_count")


def npm_leaves_out(page):
    """This client merges all histograms of a family regardless of their labels, so only those without labels are compared."""
    labelled = [name for name in page.histograms() if has_labels(page, name)]
    return {f"{name}_{part}" for name in labelled for part in ("bucket", "sum", "count")}


def datadog(url, page, latest=False):
    """The OpenMetrics check of Datadog's agent. It renames metrics, so the names are translated back."""
    aggregator.reset()
    instance = {"openmetrics_endpoint": url, "namespace": "test", "metrics": [".+"], "use_latest_spec": latest}
    check = OpenMetricsBaseCheckV2("test", {}, [instance])
    failure = check.run()
    assert not failure, failure
    names = {}
    for name, kind in page.types.items():
        if kind == "histogram":
            names.update({f"test.{name}.{part}": f"{name}_{part}" for part in ("bucket", "sum", "count")})
        elif kind == "counter":
            names[f"test.{name.removesuffix('_total')}.count"] = name
        else:
            names[f"test.{name}"] = name
    found = {}
    for metric in aggregator.metric_names:
        for sample in aggregator.metrics(metric):
            if metric not in names:
                continue
            labels = dict(tag.split(":", 1) for tag in sample.tags)
            labels.pop("endpoint", None)
            if "upper_bound" in labels:
                labels["le"] = labels.pop("upper_bound")
                labels.pop("lower_bound", None)
            found[series(names[metric], labels)] = sample.value
    # It does not send the bucket +Inf, which equals the count.
    for (name, labels), value in list(found.items()):
        if name.endswith("_count") and page.types.get(name.removesuffix("_count")) == "histogram":
            found[series(f"{name.removesuffix('_count')}_bucket", {**dict(labels), "le": "inf"})] = value
    return found


def datadog_openmetrics(url, page):
    return datadog(url, page, latest=True)


READERS = [python_classic, python_strict, npm, datadog, datadog_openmetrics]
LEAVES_OUT = {npm: npm_leaves_out}
