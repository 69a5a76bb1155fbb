"""The parsed files under test."""

import json
import pathlib
import re

import yaml
from dockerfile_parse import DockerfileParser

ROOT = pathlib.Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
PROMETHEUS = yaml.safe_load((ROOT / "deploy/compose/prometheus/prometheus.yml").read_text())
DOCKERFILE = ROOT / "deploy/docker/Dockerfile"
WORKFLOWS = {path.name: yaml.safe_load(path.read_text()) for path in sorted((ROOT / ".github/workflows").glob("*.yml"))}


class Stage:
    """A stage of the Dockerfile: its base and its instructions."""

    def __init__(self, base, name):
        self.base, self.name, self.instructions = base, name, []

    def values(self, instruction):
        """Returns the values of an instruction, including those of the base stages, which are first."""
        below = STAGES[self.base].values(instruction) if self.base in STAGES else []
        return below + [value for found, value in self.instructions if found == instruction]

    def last(self, instruction):
        return next(reversed(self.values(instruction)), None)

    def labels(self):
        return dict(pair for value in self.values("LABEL") for pair in re.findall(r'(\S+?)="([^"]*)"', value))


def stages():
    found = {}
    with DOCKERFILE.open("rb") as text:
        for line in DockerfileParser(fileobj=text).structure:
            if line["instruction"] == "FROM":
                base, _, name = line["value"].split()
                stage = found[name] = Stage(base, name)
            elif line["instruction"] != "COMMENT":
                stage.instructions.append((line["instruction"], line["value"]))
    return found


STAGES = stages()


def exec_form(value):
    return json.loads(value) if value else None


def published(service):
    """Returns the published ports of a service: (address, host port, container port)."""
    return [tuple(port.split(":")) for port in service.get("ports", [])]


def mounts(service):
    """Returns the files and directories of the repository that a service mounts: container path -> path."""
    volumes = (volume.split(":") for volume in service.get("volumes", []))
    return {inside: ROOT / outside for outside, inside, mode in volumes if mode == "ro"}
