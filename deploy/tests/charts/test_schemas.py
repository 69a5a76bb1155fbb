"""Every object matches the schemas of the API server and the operators, without unknown keys."""

import json

import jsonschema
import kubernetes_validate
import yaml

from charts import CHARTS, CUSTOM_GROUPS, EXAMPLES, HERE, chart, objects

# The oldest supported version of Kubernetes, and the newest with a schema.
OLDEST = (
    yaml.safe_load((chart(CHARTS[0]) / "Chart.yaml").read_text())["kubeVersion"].removeprefix(">=").removesuffix("-0")
)
VERSIONS = [OLDEST, kubernetes_validate.latest_version()]
# Schemas of kinds that no package contains.
WRITTEN = {
    schema["properties"]["apiVersion"]["const"]: schema
    for schema in (json.loads(path.read_text()) for path in sorted((HERE / "schemas").glob("*.json")))
}


def problem(thing):
    try:
        match thing["apiVersion"].partition("/")[0]:
            case _ if thing["apiVersion"] in WRITTEN:
                jsonschema.validate(thing, WRITTEN[thing["apiVersion"]])
            case group if group in CUSTOM_GROUPS:
                pass  # problems_of_custom_resources
            case _:
                for version in VERSIONS:
                    kubernetes_validate.validate(thing, version, strict=True)
    except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
        return f"{'.'.join(map(str, error.path))}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        return error.message


def test_objects_match_their_schema(any_source, problems_of_custom_resources):
    things = objects(any_source)
    found = [f"{thing['kind']} {thing['metadata']['name']}: {what}" for thing in things if (what := problem(thing))]
    assert found + problems_of_custom_resources[any_source] == []


def test_there_are_examples_of_autoscaling():
    kinds = {thing["kind"] for source in EXAMPLES for thing in objects(source)}
    assert {"HorizontalPodAutoscaler", "ScaledObject"} <= kinds
