"""The part of infra/gcp that needs no provider, through its inputs and outputs.

The root module's variables.tf and settings.tf are put into an empty directory together with the
submodule. No provider is named there, so that Terraform plans and applies it without a network.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

MODULE = Path(__file__).resolve().parent.parent / "gcp"

OUTPUTS = """
output "filters" {
  value = { for event, settings in module.settings.events : event => settings.filter }
}
"""


class OfflineModule:
    """A context manager that removes the directory."""

    def __enter__(self):
        self._directory = tempfile.TemporaryDirectory()
        self.path = Path(self._directory.name)
        shutil.copytree(MODULE / "modules", self.path / "modules", ignore=shutil.ignore_patterns(".terraform*"))
        for name in ("variables.tf", "settings.tf"):
            shutil.copy(MODULE / name, self.path)
        (self.path / "outputs.tf").write_text(OUTPUTS)
        self._demand("init", "-input=false")
        return self

    def __exit__(self, *_):
        self._directory.cleanup()

    def filters(self, **variables):
        """Returns the filters of the sinks by kind of event."""
        self._write(variables)
        self._demand("apply", "-input=false", "-auto-approve")
        return json.loads(self._demand("output", "-json"))["filters"]["value"]

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
