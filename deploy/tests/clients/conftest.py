import os
import pathlib

import pytest
from world import Processes, Prometheus, World

NEWER = pathlib.Path(os.environ["CLIENTS_NEWER"])

# Debian's own and the next release's; the latter asks for protobuf once native histograms are on.
SERVERS = {
    "2.42-openmetrics": ("prometheus",),
    "2.53-openmetrics": (NEWER / "prometheus",),
    "2.53-protobuf": (NEWER / "prometheus", "--enable-feature=native-histograms"),
}


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    with Processes(tmp_path_factory.mktemp("world")) as processes:
        yield World(processes)


@pytest.fixture(scope="session", params=SERVERS)
def prometheus(request, world):
    return Prometheus(world.processes, world.programs, f"prometheus-{request.param}", *SERVERS[request.param])
