"""Regenerates files with --write, or prints the differences: generate.py [--write]

- values.schema.json: from values.yaml and constraints.yaml
- the tables in README.md: from the comments of values.yaml, and from the alerts in deploy/rules
- the kustomize bases and the golden renders: from the charts
"""

import copy
import difflib
import fnmatch
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import yaml

from charts import CHARTS, DEPLOY, HERE, chart, documents, helm_template, rules, run, thresholds_of


# values.schema.json

TYPES = {str: "string", bool: "boolean", int: "integer", list: "array", dict: "object"}


def merge(schema, more):
    """Merges `more` into a schema recursively."""
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(schema.get(key), dict):
            merge(schema[key], value)
        else:
            schema[key] = value
    return schema


def derive(value, path, constraints, descriptions, used):
    """Returns the schema of a value from its default and the constraints of its path."""
    schema = {"type": TYPES[type(value)]}
    if path in descriptions:
        schema["description"] = descriptions[path]
    constraint = {}
    for pattern, more in constraints:
        if fnmatch.fnmatchcase(path, pattern):
            used.add(pattern)
            merge(constraint, copy.deepcopy(more))
    if isinstance(value, dict) and value and not constraint.get("additionalProperties"):
        schema["additionalProperties"] = False
        schema["properties"] = {
            key: derive(child, f"{path}.{key}".lstrip("."), constraints, descriptions, used)
            for key, child in value.items()
        }
    return merge(schema, constraint)


def values_schema(name):
    text = (chart(name) / "values.yaml").read_text()
    descriptions = dict(re.findall(r"^ *## @param (\S+) (?:\[[^]]*\] )?(.+)$", text, re.MULTILINE))
    written = yaml.safe_load((HERE / "constraints.yaml").read_text())
    constraints = [*written["common"].items(), *written[name].items()]
    used = set()
    schema = derive(yaml.safe_load(text), "", constraints, descriptions, used)
    if unused := {pattern for pattern, _ in constraints} - used:
        raise ValueError(f"constraints.yaml: {name} has no {', '.join(sorted(unused))}")
    # Helm adds a map for each subchart.
    schema["properties"]["exporter-common"] = {"type": "object"}
    # By convention, dependencies of an umbrella chart have the condition `<name>.enabled`, which is then in the values of <name>.
    schema["properties"]["enabled"] = {"type": "boolean", "description": "Used only as the condition of an umbrella chart"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"Values of {name}", **schema}


# The tables in README.md

ALERTS = re.compile("(?<=<!-- alerts -->\n).*(?=<!-- end of alerts -->)", re.DOTALL)


def alerts(name):
    """Returns a table of the alerts with their thresholds."""
    rows = [["Alert", "Severity", "Thresholds"]]
    for rule in rules(name):
        if "alert" in rule:
            thresholds = [f"`{key}` {value}" for key, value in thresholds_of(rule).items()]
            duration = [f"`for` {rule['for']}"] if "for" in rule else []
            rows.append([f"`{rule['alert']}`", rule["labels"]["severity"], ", ".join(thresholds + duration)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    lines.insert(1, ["-" * width for width in widths])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def readme(name):
    generator = Path(os.environ["CHARTS_NODE_MODULES"]) / "@bitnami/readme-generator-for-helm/bin/index.js"
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(shutil.copy(chart(name) / "README.md", scratch))
        run("node", generator, "--values", chart(name) / "values.yaml", "--readme", copy)
        return ALERTS.sub(lambda _: f"\n{alerts(name)}\n", copy.read_text())


# Kustomize

# Labels of Helm, and the checksum, which kustomize replaces by the hash in the name of a ConfigMap.
OF_HELM = ["helm.sh/chart", "app.kubernetes.io/managed-by", "checksum/config"]
NOTICE = "# Rendered from deploy/helm/{name} with ../values.yaml by deploy/tests/charts/run --write.\n"


def without_helm(thing):
    if isinstance(thing, list):
        return [without_helm(item) for item in thing]
    if not isinstance(thing, dict):
        return thing
    kept = {key: without_helm(value) for key, value in thing.items() if key not in OF_HELM}
    return {key: value for key, value in kept.items() if not (key == "annotations" and not value)}


def kustomize_base(name):
    directory = DEPLOY / "kustomize" / name
    notice = NOTICE.format(name=name)
    rendered = documents(helm_template(name, "--values", directory / "values.yaml", release=name))
    files, resources, generator = {}, [], {"name": name}
    namespace = yaml.safe_load((directory / "values.yaml").read_text()).get("namespaceOverride")
    for thing in map(without_helm, rendered):
        # kustomize sets the namespace. A ServiceMonitor without namespaceSelector selects its own namespace.
        del thing["metadata"]["namespace"]
        thing.get("spec", {}).pop("namespaceSelector", None)
        if thing["kind"] == "ConfigMap":
            if list(thing["data"]) == ["config.yaml"]:
                generator["files"] = ["config.yaml"]
                files["config.yaml"] = notice + thing["data"]["config.yaml"]
            else:
                generator["envs"] = ["config.env"]
                files["config.env"] = notice + "".join(f"{key}={value}\n" for key, value in thing["data"].items())
            continue
        file = f"{thing['kind'].lower()}.yaml"
        resources.append(file)
        files[file] = notice + yaml.safe_dump(thing, sort_keys=False)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        **({"namespace": namespace} if namespace else {}),
        "resources": sorted(resources),
        "configMapGenerator": [generator],
    }
    files["kustomization.yaml"] = notice + yaml.safe_dump(kustomization, sort_keys=False)
    return {directory / "base" / file: text for file, text in files.items()}


def generated():
    """Yields every generated file with its text. Later files depend on earlier ones."""
    for name in CHARTS:
        yield chart(name) / "values.schema.json", json.dumps(values_schema(name), indent=2, ensure_ascii=False) + "\n"
        yield chart(name) / "README.md", readme(name)
        yield from kustomize_base(name).items()
        yield (
            HERE / "golden" / f"{name}.yaml",
            helm_template(name, "--values", HERE / "values" / name / "defaults.yaml"),
        )


def main(write):
    drifted = False
    for path, text in generated():
        there = path.read_text() if path.exists() else ""
        if there == text:
            continue
        drifted = True
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            print(f"wrote {path.relative_to(DEPLOY)}")
        else:
            label = str(path.relative_to(DEPLOY))
            sys.stdout.writelines(
                difflib.unified_diff(there.splitlines(True), text.splitlines(True), label, "generated")
            )
    return int(drifted and not write)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] == ["--write"]))
