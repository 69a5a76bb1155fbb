import json
import os
import subprocess

import pytest

from charts import CUSTOM_GROUPS, EXAMPLES, HERE, PUBLISHED, SOURCES, objects

# Sources for each argument: those of this project; also manifests of the Go exporters; also the examples.
SETS = {
    "source": [*SOURCES],
    "deployed_source": [*SOURCES, *PUBLISHED],
    "any_source": [*SOURCES, *PUBLISHED, *EXAMPLES],
}


def pytest_generate_tests(metafunc):
    for argument in SETS.keys() & set(metafunc.fixturenames):
        metafunc.parametrize(argument, SETS[argument])


@pytest.fixture(scope="session")
def problems_of_custom_resources():
    """Returns the problems of custom resources by source. All sources are checked in one compiler run."""
    custom = [
        (source, thing)
        for source in SETS["any_source"]
        for thing in objects(source)
        if thing["apiVersion"].partition("/")[0] in CUSTOM_GROUPS
    ]
    result = subprocess.run(
        ["node", HERE / "custom_resources.mjs"],
        input=json.dumps([thing for _, thing in custom]),
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    found = {source: [] for source in SETS["any_source"]}
    for (source, thing), problems in zip(custom, json.loads(result.stdout), strict=True):
        found[source] += [f"{thing['kind']} {thing['metadata']['name']}: {problem}" for problem in problems]
    return found
