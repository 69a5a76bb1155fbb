"""The charts and everything else that is checked: where it is, and how it is rendered."""

import functools
import re
import subprocess
import tempfile
from pathlib import Path

import yaml

HERE = Path(__file__).parent
DEPLOY = HERE.parent.parent
CHARTS = ["spacelift-promex", "spot-interruption-exporter"]
# Kinds of operators, whose schemas are custom_resources.mjs' business.
CUSTOM_GROUPS = ["monitoring.coreos.com", "keda.sh", "gateway.networking.k8s.io"]


def chart(name):
    return DEPLOY / "helm" / name


def run(*command):
    """What a command prints; its complaints if it fails."""
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(result.stderr + result.stdout)
    return result.stdout


def helm_template(name, *options, release="acme"):
    return run("helm", "template", release, chart(name), "--namespace", "exporters", *options)


def umbrella_template(subcharts, values, release="acme"):
    """A chart with others below it: those of `subcharts`, names by alias, with the values of each under its alias."""
    with tempfile.TemporaryDirectory() as directory:
        umbrella = Path(directory)
        dependencies = [
            {"name": name, "version": "*", "alias": alias, "condition": f"{alias}.enabled"}
            for alias, name in subcharts.items()
        ]
        about = {"apiVersion": "v2", "name": "umbrella", "version": "1.0.0", "dependencies": dependencies}
        (umbrella / "Chart.yaml").write_text(yaml.safe_dump(about))
        (umbrella / "charts").mkdir()
        for name in {*subcharts.values()}:
            (umbrella / "charts" / name).symlink_to(chart(name))
        (umbrella / "values.yaml").write_text(yaml.safe_dump(values))
        return run("helm", "template", release, umbrella, "--namespace", "exporters")


def values_of(name, *variants):
    """What variants have in common with nothing else: each over the one before it."""
    values = {}
    for variant in variants:
        values |= yaml.safe_load((HERE / "values" / name / f"{variant}.yaml").read_text())
    return values


def aliased(name):
    """Under an umbrella, by another name."""
    more = {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}}
    return umbrella_template({"renamed": name}, {"renamed": values_of(name, "defaults") | more | {"enabled": True}})


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


def rules(name):
    """The rules of an exporter as they are written, group after group."""
    return [rule for group in rule_groups(name) for rule in group["rules"]]


def rule_groups(name):
    return yaml.safe_load((DEPLOY / "rules" / f"{name}.yaml").read_text())["groups"]


THRESHOLD = re.compile(r"""(-?[0-9][0-9.]*|"[^"]*")[ \t]*# threshold ([a-z_]+)$""", re.MULTILINE)


def thresholds_of(rule):
    """The numbers and quoted patterns in an alert's expression that values can change, by key."""
    return {key: number for number, key in THRESHOLD.findall(rule["expr"])}


def values_files(name):
    return sorted((HERE / "values" / name).glob("*.yaml"))


# Everything that must hold in a cluster, by the name of the test's case: how to render it.
SOURCES = {
    **{
        f"helm/{name}/{values.stem}": functools.partial(helm_template, name, "--values", values)
        for name in CHARTS
        for values in values_files(name)
    },
    **{f"umbrella/{name}": functools.partial(aliased, name) for name in CHARTS},
    **{
        f"kustomize/{name}/{directory}": functools.partial(
            run, "kubectl", "kustomize", DEPLOY / "kustomize" / name / directory
        )
        for name in CHARTS
        for directory in ["base", *(path.name for path in sorted((DEPLOY / "kustomize" / name).glob("*-overlay")))]
    },
    **{f"manifests/{name}": (DEPLOY / "manifests" / f"{name}.yaml").read_text for name in CHARTS},
}

# In the shape that the exporters which came before publish: less strict than what this project ships.
PUBLISHED = {f"published/{path.stem}": path.read_text for path in sorted((HERE / "published").glob("*.yaml"))}

# Values for charts of others are no objects.
EXAMPLES = {
    f"examples/{path.stem}": path.read_text
    for path in sorted((DEPLOY / "examples" / "autoscaling").glob("*.yaml"))
    if "values" not in path.stem
}


@functools.cache
def objects(source):
    """The objects of a source, as a cluster would get them."""
    return documents({**SOURCES, **PUBLISHED, **EXAMPLES}[source]())


def of_kind(source, kind):
    return [thing for thing in objects(source) if thing["kind"] == kind]


def only(source, kind):
    (thing,) = of_kind(source, kind)
    return thing
