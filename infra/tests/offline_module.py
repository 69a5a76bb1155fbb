"""The part of infra/gcp or infra/aws that needs no provider, through its inputs and outputs.

The root module's variables.tf and settings.tf are put into an empty directory together with the
submodule. No provider is named there, so that Terraform plans and applies it without a network.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

INFRA = Path(__file__).resolve().parent.parent

# What replaces the other files of the root module.
REST = {
    "gcp": """
output "filters" {
  value = { for event, settings in module.settings.events : event => settings.filter }
}
""",
    "aws": """
locals {
  account_id = "123456789012"
  partition  = "aws"
  dns_suffix = "amazonaws.com"
}

output "event_pattern" {
  value = module.settings.event_pattern
}

output "policies" {
  value = {
    exporter    = module.settings.exporter_policy
    trust       = module.settings.trust_policy
    queue       = module.settings.queue_policies
    dead_letter = module.settings.dead_letter_policies
  }
}
""",
}


class OfflineModule:
    """A context manager that removes the directory. Takes the name of the module: gcp or aws."""

    def __init__(self, name):
        self.name = name
        self.source = INFRA / name

    def __enter__(self):
        self._directory = tempfile.TemporaryDirectory()
        self.path = Path(self._directory.name)
        shutil.copytree(self.source / "modules", self.path / "modules", ignore=shutil.ignore_patterns(".terraform*"))
        # The event pattern is read by two submodules.
        for pattern in self.source.glob("*.json"):
            shutil.copy(pattern, self.path)
        for name in ("variables.tf", "settings.tf"):
            shutil.copy(self.source / name, self.path)
        (self.path / "rest.tf").write_text(REST[self.name])
        self._demand("init", "-input=false")
        return self

    def __exit__(self, *_):
        self._directory.cleanup()

    def outputs(self, **variables):
        """Returns the outputs in REST by name."""
        self._write(variables)
        self._demand("apply", "-input=false", "-auto-approve")
        return {name: output["value"] for name, output in json.loads(self._demand("output", "-json")).items()}

    def refusal(self, **variables):
        """Returns Terraform's error about the variables, or None if it accepts them."""
        self._write(variables)
        finished = self._run("plan", "-input=false", "-lock=false")
        return None if finished.returncode == 0 else finished.stderr

    def _write(self, variables):
        (self.path / "terraform.tfvars.json").write_text(json.dumps(variables))

    def _demand(self, *arguments):
        finished = self._run(*arguments)
        if finished.returncode != 0:
            raise RuntimeError(f"terraform {arguments[0]}:\n{finished.stdout}{finished.stderr}")
        return finished.stdout

    def _run(self, command, *arguments):
        return subprocess.run(
            ["terraform", command, "-no-color", *arguments],
            cwd=self.path,
            capture_output=True,
            text=True,
            env={**os.environ, "TF_IN_AUTOMATION": "1"},
        )
