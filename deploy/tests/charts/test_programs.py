"""The exporters accept the configuration of their pods."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from charts import CHARTS, chart
from pods import DEFAULT_ARGUMENTS, environment, exporter, mounts, program

PROGRAMS = {name: os.environ[name.upper().replace("-", "_")] for name in CHARTS}


def service_links(name):
    """Returns the variables that Kubernetes sets in every pod for a Service with the name of the exporter."""
    prefix, address = name.upper().replace("-", "_"), "10.0.0.1"
    return {
        f"{prefix}_SERVICE_HOST": address,
        f"{prefix}_SERVICE_PORT": "80",
        f"{prefix}_SERVICE_PORT_METRICS": "80",
        f"{prefix}_PORT": f"tcp://{address}:80",
        f"{prefix}_PORT_80_TCP_ADDR": address,
    }


def relocate(text, root, mounted):
    """Replaces paths in mounts with those of the test."""
    if not mounted:
        return text
    directories = "|".join(map(re.escape, mounted))
    return re.sub(rf"(?<![\w./-])({directories})(?![\w.-])", rf"{root}\1", text)


def check_config(source, root):
    """Runs the exporter of a pod with --check-config. Only the paths of mounts are changed."""
    template, container = exporter(source)
    mounted = mounts(source)
    for directory, texts in mounted.items():
        Path(f"{root}{directory}").mkdir(parents=True)
        for path, text in texts.items():
            file = Path(f"{root}{directory}/{path}")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(relocate(text, root, mounted))
    links = {} if template["spec"].get("enableServiceLinks") is False else service_links(program(container))
    return subprocess.run(
        [
            PROGRAMS[program(container)],
            *(
                relocate(argument, root, mounted)
                for argument in container.get("args", DEFAULT_ARGUMENTS[program(container)])
            ),
            "--check-config",
        ],
        env=links | {name: relocate(value, root, mounted) for name, value in environment(source).items()},
        capture_output=True,
        text=True,
    )


def test_program_accepts_its_pod(deployed_source, tmp_path):
    result = check_config(deployed_source, tmp_path)
    assert result.returncode == 0, result.stderr
    assert "the configuration is valid" in result.stderr


@pytest.mark.parametrize(
    ("render", "file"),
    [
        ("helm/spacelift-promex/tls", "SPACELIFT_PROMEX_API_KEY_SECRET"),
        ("helm/spacelift-promex/tls", "web-config.yaml"),
        ("helm/spacelift-promex/tls", "tls/tls.crt"),
        ("helm/spacelift-promex/spacelifts-own-values", "root.pem"),
        ("helm/spacelift-promex/webhooks", "SPACELIFT_PROMEX_WEBHOOK_SECRET"),
        ("helm/spacelift-promex/webhooks-exposed", "two-secrets"),
        ("helm/spot-interruption-exporter/tls", "config.yaml"),
        ("helm/spot-interruption-exporter/tls", "web-config.yaml"),
        ("helm/spot-interruption-exporter/tls", "tls/tls.key"),
    ],
)
def test_program_reads_the_mounted_files(render, file, tmp_path, monkeypatch):
    there = mounts(render)
    assert sum(file in texts for texts in there.values()) == 1
    less = {
        directory: {path: text for path, text in texts.items() if path != file} for directory, texts in there.items()
    }
    monkeypatch.setattr("test_programs.mounts", lambda _: less)
    result = check_config(render, tmp_path)
    assert result.returncode == 1
    assert file in result.stderr


def keys(schema, path=""):
    """Returns the keys of a configuration schema, separated by dots."""
    for key, child in schema["properties"].items():
        yield from keys(child, f"{path}{key}.") if "properties" in child else [path + key]


def test_every_configuration_key_can_be_set():
    """All keys of the program, except those that are derived from other values."""
    told = subprocess.run(
        [PROGRAMS["spot-interruption-exporter"], "--help"], capture_output=True, text=True, check=True
    ).stdout
    variables = re.findall(r"variable:? SIE_(\w+)", told)
    known = {variable.lower().replace("__", ".") for variable in variables}
    of_the_chart = {"state.path", "web.config_file", "web.open_probes"}
    schema = json.loads((chart("spot-interruption-exporter") / "values.schema.json").read_text())
    assert set(keys(schema["properties"]["config"])) | of_the_chart == known


def test_every_option_can_be_set():
    """Each variable of the program is set in some render, or the chart configures it otherwise."""
    told = subprocess.run([PROGRAMS["spacelift-promex"], "--help"], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"\[variable: (SPACELIFT_PROMEX_\w+)\]", told))
    sources = ["everything", "spacelifts-own-values", "tls", "webhooks-exposed"]
    rendered = {name for source in sources for name in environment(f"helm/spacelift-promex/{source}")}
    by_file = {"SPACELIFT_PROMEX_API_KEY_SECRET", "SPACELIFT_PROMEX_WEBHOOK_SECRET"}
    assert {name for name in rendered if name.startswith("SPACELIFT_PROMEX_")} == known - by_file
