"""Documents contain only existing chart values, files and tests."""

import fnmatch
import re

import pytest
import yaml
from files import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("infra/**/*.md"), *ROOT.glob("deploy/helm/*/README.md"), *ROOT.glob("crates/*/README.md")])
BLOCK = re.compile(r"^[ ]*```(?:shell|bash|sh)\n(.*?)^[ ]*```$", re.MULTILINE | re.DOTALL)
HELM = re.compile(r"helm (?:install|upgrade)\b[^\n]*?(?:charts|helm)/(spacelift-promex|spot-interruption-exporter)\b[^\n]*")
COMMANDS = [
    (str(document.relative_to(ROOT)), match[1], match[0])
    for document in DOCUMENTS
    for block in BLOCK.findall(document.read_text())
    for match in HELM.finditer(block.replace("\\\n", " "))
]


def test_there_are_commands():
    assert {document for document, _, _ in COMMANDS} >= {"README.md", "docs/migrating.md", "infra/gcp/README.md"}


@pytest.mark.parametrize(("document", "chart", "command"), COMMANDS)
def test_values_in_commands_exist_in_the_chart(document, chart, command):
    values = yaml.safe_load((ROOT / f"deploy/helm/{chart}/values.yaml").read_text())
    for key in re.findall(r"--set(?:-string)? ([\w.]+)=", command):
        found = values
        for part in key.split("."):
            # A map that is empty by default accepts any key.
            if found in ({}, None):
                break
            assert part in found, f"{document}: {key}"
            found = found[part]


@pytest.mark.parametrize("document", [document for document in DOCUMENTS if "helm" not in document.parts], ids=lambda path: path.name)
def test_paths_in_commands_exist(document):
    for block in BLOCK.findall(document.read_text()):
        for path in re.findall(r"(?<![\w/.:-])(?:deploy|infra|docs|crates|\.ci)/[\w./-]+", block):
            assert (ROOT / path).exists(), path


def rust_tests():
    """Yields the paths of all functions in Rust tests, with the crate first, such as config::nearest::tests::finds_a_typo."""
    for file in ROOT.glob("crates/*/**/*.rs"):
        crate, *modules = file.relative_to(ROOT / "crates").with_suffix("").parts
        text = file.read_text()
        if "tests" not in modules:
            _, _, text = text.partition("\nmod tests {")
            modules.append("tests")
        modules = [module for module in modules if module not in ("src", "it", "mod", "lib", "main")]
        for name in re.findall(r"\bfn (\w+)", text):
            yield "::".join([crate, *modules, name])


PROMISES = re.compile(r"^\| (.*) \| ((?:`[^`]+`(?:, )?)+) \|$", re.MULTILINE)


def test_tests_in_reliability_md_exist():
    tests = list(rust_tests())
    named = [name for _, cell in PROMISES.findall((ROOT / "RELIABILITY.md").read_text()) for name in re.findall(r"`([^`]+)`", cell)]
    assert len(named) > 100

    def exists(name):
        if "/" in name:
            return (ROOT / name).exists()
        return any(fnmatch.fnmatchcase(test, f"*::{name}") for test in tests)

    missing = [name for name in named if not exists(name)]
    assert not missing, "\n".join(missing)
