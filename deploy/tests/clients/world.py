"""Simulated services with a stopped clock, both programs, and Prometheus servers that scrape them."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

POOLS, WORKERS = 3, 10


def until(what, seconds, probe):
    """Calls `probe` until it returns a value. Fails with the last error after the timeout."""
    end, reason = time.monotonic() + seconds, "nothing came"
    while time.monotonic() < end:
        try:
            if found := probe():
                return found
        except (OSError, ValueError) as error:
            reason = error
        time.sleep(0.1)
    raise AssertionError(f"waited {seconds} s for {what() if callable(what) else what}: {reason}")


def fetch(url, method="GET", body=None):
    request = urllib.request.Request(url, method=method, data=body.encode() if body else None)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.read().decode()


def free_ports(count):
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


class Processes:
    """Programs that are stopped with the context, with logs in a directory."""

    def __init__(self, directory):
        self.directory, self.running = pathlib.Path(directory), []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for _, process, _ in self.running:
            process.terminate()
        for _, process, _ in self.running:
            process.wait(30)

    def start(self, name, *command, **environment):
        log = self.directory / f"{name}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                command, env={"PATH": os.environ["PATH"], **environment}, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        self.running.append((name, process, log))

    def answers(self, url):
        def probe():
            for name, process, log in self.running:
                assert process.poll() is None, f"{name} has exited:\n{log.read_text()}"
            return fetch(url) or True

        return probe


class World:
    def __init__(self, processes):
        self.processes = processes
        spacelift, pubsub, self.compute, promex, spot = free_ports(5)
        self.programs = {"spacelift-promex": f"http://{promex}", "spot-interruption-exporter": f"http://{spot}"}
        processes.start(
            "sandbox",
            os.environ["CLIENTS_SANDBOX"],
            *("all", "--listen", spacelift, "--pubsub-listen", pubsub, "--compute-listen", self.compute),
            *("--aws-listen", "127.0.0.1:0", "--aws-scale", "0"),
            *("--pools", str(POOLS), "--workers-per-pool", str(WORKERS), "--speed", "20"),
        )
        until("the sandbox", 30, processes.answers(f"http://{self.compute}/_sandbox/truth"))
        processes.start(
            "spacelift-promex",
            os.environ["CLIENTS_SPACELIFT_PROMEX"],
            *("serve", "--listen-address", promex, "--cache-ttl", "1h"),
            SPACELIFT_PROMEX_API_ENDPOINT=f"http://{spacelift}",
            SPACELIFT_PROMEX_API_KEY_ID="01K5SANDB0XAP1KEY000000000",
            SPACELIFT_PROMEX_API_KEY_SECRET="sandbox-secret",
        )
        processes.start(
            "spot-interruption-exporter",
            os.environ["CLIENTS_SPOT_INTERRUPTION_EXPORTER"],
            SIE_PROJECT_NAME="example-project",
            SIE_PUBSUB__INSTANCE_CREATION_SUBSCRIPTION_NAME="sie-creation-subscription",
            SIE_PUBSUB__INSTANCE_INTERRUPTION_SUBSCRIPTION_NAME="sie-interruption-subscription",
            SIE_PUBSUB__ENDPOINT=f"http://{pubsub}",
            SIE_COMPUTE__ENDPOINT=f"http://{self.compute}",
            SIE_PROMETHEUS__ADDRESS=spot,
            # Interruptions of instances outside any cluster are resolved during the test.
            SIE_ATTRIBUTION_GRACE="2s",
        )
        for name, url in self.programs.items():
            until(f"{name} to be ready", 60, processes.answers(f"{url}/ready"))
        self.settle()

    def settle(self):
        """Preempts spot VMs, stops the simulated clock, and waits until everything is counted."""
        fetch(f"http://{self.compute}/_sandbox/burst", "POST", "0.5")
        until("interruptions", 60, lambda: self.truth()["interruptions"])
        fetch(f"http://{self.compute}/_sandbox/speed", "PUT", "0")
        until("everything to be counted", 60, lambda: self.counted() == self.interruptions())
        # The first scrape requests the API; all others are served from the cache.
        fetch(self.metrics("spacelift-promex"))

    def truth(self):
        return json.loads(fetch(f"http://{self.compute}/_sandbox/truth"))

    def interruptions(self):
        truth = self.truth()
        return sum(truth["interruptions"].values()) + truth["unattributed"]

    def counted(self):
        samples = fetch(self.metrics("spot-interruption-exporter")).splitlines()
        counters = ("interruption_events_total{", "interruption_events_unattributed_total ")
        return sum(int(float(line.rsplit(" ", 1)[1])) for line in samples if line.startswith(counters))

    def metrics(self, name):
        return f"{self.programs[name]}/metrics"


class Prometheus:
    """A Prometheus server that scrapes both programs every second."""

    def __init__(self, processes, programs, name, binary, *flags):
        (address,) = free_ports(1)
        self.url = f"http://{address}"
        configuration = processes.directory / f"{name}.json"
        jobs = [
            {"job_name": job, "static_configs": [{"targets": [url.removeprefix("http://")]}]} for job, url in programs.items()
        ]
        configuration.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}))
        data = processes.directory / f"{name}-data"
        processes.start(
            name,
            binary,
            *(f"--config.file={configuration}", f"--storage.tsdb.path={data}", f"--web.listen-address={address}"),
            *flags,
        )
        until(f"{name} to be ready", 60, processes.answers(f"{self.url}/-/ready"))
        until(f"{name} to have scraped", 60, lambda: len(self.query("scrape_samples_scraped > 0")) == len(programs))

    def query(self, query):
        """Returns the result of an instant query: [(labels, value)]."""
        answer = json.loads(fetch(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"))
        assert answer["status"] == "success", answer
        return [(sample["metric"], float(sample["value"][1])) for sample in answer["data"]["result"]]

    def value(self, query):
        ((_, value),) = self.query(query)
        return value
