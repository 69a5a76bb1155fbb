"""CI checks its tools first and reports tools that are missing or too old."""

import os
import subprocess

import pytest
from files import ROOT

# Two tools are sufficient; some need seconds to print their version.
SCRIPT = """set -euo pipefail; source .ci/tools; TOOLS=$(grep -E '^(node|promtool) ' <<<"$TOOLS"); check_tools"""


def check(path, script=SCRIPT):
    environment = {"PATH": path, "HOME": os.environ["HOME"]}
    return subprocess.run(["/bin/bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True)


def stand_in(directory, name, output):
    program = directory / name
    program.write_text(f"#!/bin/sh\necho '{output}'\n")
    program.chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"


@pytest.mark.parametrize("old", ["v16.20.2", "v18.9.1"])
def test_reports_a_tool_that_is_too_old(tmp_path, old):
    finished = check(stand_in(tmp_path, "node", old))
    assert finished.returncode == 1
    assert f"node {old[1:]}, at least 18.17 is needed" in finished.stderr


@pytest.mark.parametrize("new", ["v18.17.0", "v18.20.4", "v24.0.0"])
def test_accepts_a_tool_that_is_new_enough(tmp_path, new):
    finished = check(stand_in(tmp_path, "node", new))
    assert "node" not in finished.stderr
    assert f"node             {new[1:]}" in finished.stdout


def test_reports_a_tool_without_version(tmp_path):
    assert "promtool (missing), at least" in check(stand_in(tmp_path, "promtool", "no number")).stderr


def test_lists_debian_packages_of_missing_tools(tmp_path):
    for name in ("bash", "sed", "grep", "sort", "head"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    packages = check(str(tmp_path), "source .ci/tools; missing_packages").stdout.split()
    assert {"nodejs", "npm", "prometheus", "prometheus-alertmanager", "git", "gcc", "g++", "python3-venv"} <= set(packages)
