"""The charts and the other files under test: their paths, and how they are rendered."""

import functools
import re
import subprocess
import tempfile
from pathlib import Path

import yaml

HERE = Path(__file__).parent
DEPLOY = HERE.parent.parent
CHARTS = ["spacelift-promex", "spot-interruption-exporter"]
# API groups of operators, which custom_resources.mjs checks.
CUSTOM_GROUPS = ["monitoring.coreos.com", "keda.sh", "gateway.networking.k8s.io"]


def chart(name):
    return DEPLOY / "helm" / name


def run(*command):
    """Runs a command and returns its standard output. Raises an error with its output if it fails."""
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(result.stderr + result.stdout)
    return result.stdout


def helm_template(name, *options, release="acme"):
    return run("helm", "template", release, chart(name), "--namespace", "exporters", *options)


def umbrella_template(subcharts, values, release="acme"):
    """Renders an umbrella chart with the subcharts in `subcharts` (alias -> name) and these values."""
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
    """Merges the values of variants; later variants override earlier ones."""
    values = {}
    for variant in variants:
        values |= yaml.safe_load((HERE / "values" / name / f"{variant}.yaml").read_text())
    return values


def aliased(name):
    """Renders a chart as a subchart with an alias."""
    more = {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}}
    return umbrella_template({"renamed": name}, {"renamed": values_of(name, "defaults") | more | {"enabled": True}})


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


def rules(name):
    """Returns the rules of an exporter from the rule file."""
    return [rule for group in rule_groups(name) for rule in group["rules"]]


def rule_groups(name):
    return yaml.safe_load((DEPLOY / "rules" / f"{name}.yaml").read_text())["groups"]


THRESHOLD = re.compile(r"""(-?[0-9][0-9.]*|"[^"]*")[ \t]*# threshold ([a-z_]+)$""", re.MULTILINE)


def thresholds_of(rule):
    """Returns the thresholds (numbers and quoted patterns) in an alert's expression, by key."""
    return {key: number for number, key in THRESHOLD.findall(rule["expr"])}


def values_files(name):
    return sorted((HERE / "values" / name).glob("*.yaml"))


# Functions that render the sources of this project, by name of the test case.
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

# Manifests of the Go exporters, which are less strict than those of this project.
PUBLISHED = {f"published/{path.stem}": path.read_text for path in sorted((HERE / "published").glob("*.yaml"))}

# Files with values for other charts contain no objects.
EXAMPLES = {
    f"examples/{path.stem}": path.read_text
    for path in sorted((DEPLOY / "examples" / "autoscaling").glob("*.yaml"))
    if "values" not in path.stem
}


@functools.cache
def objects(source):
    """Returns the rendered objects of a source."""
    return documents({**SOURCES, **PUBLISHED, **EXAMPLES}[source]())


def of_kind(source, kind):
    return [thing for thing in objects(source) if thing["kind"] == kind]


def only(source, kind):
    (thing,) = of_kind(source, kind)
    return thing
