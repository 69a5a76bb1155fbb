"""Workflows call existing recipes and pinned actions, and have minimal permissions."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from files import DOCKERFILE, ROOT, WORKFLOWS

STEPS = [
    (workflow, step)
    for workflow, content in WORKFLOWS.items()
    for job in content["jobs"].values()
    # A job that calls another workflow has no steps.
    for step in job.get("steps", [])
]
RECIPES = set(re.findall(r"^@?([a-z][a-z0-9-]*)[^:=\n]*:(?!=)", (ROOT / "justfile").read_text(), re.MULTILINE))
USED_ACTIONS = sorted({step["uses"] for _, step in STEPS if "uses" in step})
COMMANDS = sorted({(workflow, step["run"]) for workflow, step in STEPS if "run" in step})
USED_RECIPES = sorted({recipe for _, command in COMMANDS for recipe in re.findall(r"\bjust ([a-z-]+)", command)})


@pytest.mark.parametrize("action", USED_ACTIONS)
def test_an_action_is_pinned_by_commit_with_its_version(action):
    assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action)
    for workflow in WORKFLOWS:
        for line in (ROOT / ".github/workflows" / workflow).read_text().splitlines():
            if action in line:
                assert re.search(r" # v[0-9]+\.[0-9]+\.[0-9]+$", line), line


@pytest.mark.parametrize("recipe", USED_RECIPES)
def test_called_recipes_exist(recipe):
    assert recipe in RECIPES


@pytest.mark.parametrize(("workflow", "command"), COMMANDS)
def test_commands_contain_no_expressions(workflow, command):
    assert "${{" not in command


@pytest.mark.parametrize(("workflow", "command"), COMMANDS)
def test_a_command_is_shellcheck_clean(workflow, command):
    shellcheck = [Path(sys.executable).parent / "shellcheck", "--shell=bash", "--severity=style", "-"]
    finished = subprocess.run(shellcheck, input="set -eo pipefail\n" + command, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stdout


@pytest.mark.parametrize(("workflow", "command"), COMMANDS)
def test_failures_within_commands_fail_the_step(workflow, command):
    # GitHub uses -e and pipefail only if the shell is set explicitly.
    assert WORKFLOWS[workflow]["defaults"] == {"run": {"shell": "bash"}}
    assert not re.search(r"echo [^\n]*\$\(", command)


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_tokens_have_read_access_by_default(workflow):
    assert WORKFLOWS[workflow]["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_checkouts_do_not_persist_credentials(workflow):
    checkouts = [step for of, step in STEPS if of == workflow and step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    for step in checkouts:
        assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_containers_are_pinned_and_have_the_compiler_of_the_images(workflow):
    for job in WORKFLOWS[workflow]["jobs"].values():
        if "container" in job:
            image = job["container"]["image"]
            assert re.fullmatch(r"rust:[0-9.]+-bookworm@sha256:[0-9a-f]{64}", image)
            assert f"FROM {image} AS toolchain" in DOCKERFILE.read_text()


def test_ci_uses_the_script_of_developers():
    assert (".ci/run" in [step.get("run") for workflow, step in STEPS if workflow == "ci.yml"])
