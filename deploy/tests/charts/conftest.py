import json
import os
import subprocess

import pytest

from charts import CUSTOM_GROUPS, EXAMPLES, HERE, PUBLISHED, SOURCES, objects

# What a test of this argument runs for: what this project ships; also what its predecessors did; also the examples.
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
    """What is wrong with the objects that the operators define, by source. One run of the compiler serves them all."""
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
