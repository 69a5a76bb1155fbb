"""A release is rejected if its tag differs from a version in the tree."""

import re
import shutil
import subprocess
import sys

import pytest
from files import ROOT, WORKFLOWS

CHECK = ROOT / ".ci/check-version"
VERSION = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
RELEASE = WORKFLOWS["release.yml"]
PUBLISHING = {"contents", "packages"}

# One place of each kind: the file, the expected text, and the text of an older version.
PLACES = [
    ("Cargo.toml", f'version = "{VERSION}"', 'version = "0.0.9"'),
    ("Cargo.lock", f'name = "sandbox"\nversion = "{VERSION}"', 'name = "sandbox"\nversion = "0.0.9"'),
    ("deploy/helm/spacelift-promex/Chart.yaml", f"\nversion: {VERSION}", "\nversion: 0.0.9"),
    ("deploy/helm/spot-interruption-exporter/Chart.yaml", f"\nappVersion: {VERSION}", "\nappVersion: 0.0.9"),
    ("deploy/helm/spot-interruption-exporter/Chart.yaml", f"    version: {VERSION}", "    version: 0.0.9"),
    ("deploy/kustomize/spacelift-promex/base/service.yaml", f"/version: {VERSION}", "/version: 0.0.9"),
    ("deploy/kustomize/spot-interruption-exporter/base/deployment.yaml", f"-exporter:{VERSION}", "-exporter:0.0.9"),
    ("deploy/kustomize/spacelift-promex/example-overlay/kustomization.yaml", f"newTag: {VERSION}", "newTag: 0.0.9"),
    ("deploy/manifests/spot-interruption-exporter.yaml", f"-exporter:{VERSION}", "-exporter:0.0.9"),
    ("README.md", f"?ref=v{VERSION}", "?ref=v0.0.9"),
    ("README.md", f"--version {VERSION}", "--version 0.0.9"),
]


@pytest.fixture
def tree(tmp_path):
    """The files that the check reads, with a changelog section of the release."""
    kept = ["Cargo.toml", "Cargo.lock", "CHANGELOG.md", *(path.name for path in ROOT.glob("*.md"))]
    for name in kept:
        shutil.copy(ROOT / name, tmp_path)
    for manifest in ROOT.glob("crates/*/Cargo.toml"):
        target = tmp_path / manifest.relative_to(ROOT)
        target.parent.mkdir(parents=True)
        shutil.copy(manifest, target)
    for directory in ("deploy", "infra", "docs"):
        shutil.copytree(ROOT / directory, tmp_path / directory, ignore=shutil.ignore_patterns("tests", ".terraform*"))
    changelog = tmp_path / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("## Unreleased", f"## {VERSION} - 2026-12-01", 1))
    return tmp_path


def check(tree, *arguments):
    return subprocess.run([sys.executable, CHECK, *arguments, "--root", tree], capture_output=True, text=True)


def test_accepts_a_matching_tag(tree):
    finished = check(tree, f"v{VERSION}")
    assert finished.returncode == 0, finished.stderr


@pytest.mark.parametrize(("path", "expected", "outdated"), PLACES)
def test_rejects_and_names_an_outdated_version(tree, path, expected, outdated):
    text = (tree / path).read_text()
    assert expected in text
    (tree / path).write_text(text.replace(expected, outdated, 1))
    for arguments in ([f"v{VERSION}"], []):
        finished = check(tree, *arguments)
        assert finished.returncode == 1
        if path != "Cargo.toml" or arguments:
            assert f"{path}: " in finished.stderr and "0.0.9" in finished.stderr, finished.stderr


@pytest.mark.parametrize("tag", ["v99.0.0", VERSION, "v1", f"v{VERSION}+1", f"refs/tags/v{VERSION}", "v01.0.0"])
def test_rejects_another_tag(tree, tag):
    assert check(tree, tag).returncode == 1


def test_rejects_a_version_without_notes(tree):
    changelog = tree / "CHANGELOG.md"
    changelog.write_text(re.sub(rf"(## {re.escape(VERSION)} - \S+\n).*?(?=^## |\Z)", r"\1\n", changelog.read_text(), flags=re.M | re.S))
    finished = check(tree, f"v{VERSION}")
    assert finished.returncode == 1 and "CHANGELOG.md" in finished.stderr


def test_prints_the_section_as_notes(tree):
    notes = check(tree, f"v{VERSION}", "--notes").stdout
    assert notes.startswith("### ") and "## " + VERSION not in notes


def test_all_versions_in_the_tree_are_equal():
    finished = subprocess.run([sys.executable, CHECK], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


def needed(job):
    """Returns the direct and transitive dependencies of a job."""
    needs = RELEASE["jobs"][job].get("needs", [])
    direct = {needs} if isinstance(needs, str) else set(needs)
    return direct.union(*(needed(each) for each in direct)) if direct else set()


def test_publishing_requires_the_version_check_and_ci():
    assert RELEASE["jobs"]["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert any(".ci/check-version" in step.get("run", "") for step in RELEASE["jobs"]["version"]["steps"])
    publishing = [
        name for name, job in RELEASE["jobs"].items() if "write" in {job.get("permissions", {}).get(each) for each in PUBLISHING}
    ]
    assert publishing
    for job in publishing:
        assert {"version", "ci"} <= needed(job), job


def test_the_release_is_created_last():
    (creating,) = [
        name for name, job in RELEASE["jobs"].items() if any("gh release create" in step.get("run", "") for step in job.get("steps", []))
    ]
    assert needed(creating) == set(RELEASE["jobs"]) - {creating}


def test_jobs_that_attest_have_the_required_permissions():
    for job in RELEASE["jobs"].values():
        if any("actions/attest@" in step.get("uses", "") for step in job.get("steps", [])):
            wanted = {"id-token": "write", "attestations": "write", "artifact-metadata": "write"}
            assert wanted.items() <= job["permissions"].items()
