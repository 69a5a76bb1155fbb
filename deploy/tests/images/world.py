"""Checks the running services of docker-compose.yml and stops them."""

import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.parse
import urllib.request

PROMETHEUS = "http://127.0.0.1:9090/api/v1"
GRAFANA = "http://127.0.0.1:3000/api"
PATIENCE = 120
# An exporter exits within 5 s of SIGTERM; the engine needs additional time to report it.
STOP_WITHIN = 5.5


def docker(*arguments):
    return subprocess.run(["docker", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout


def containers():
    project = f"label=com.docker.compose.project={os.environ['COMPOSE_PROJECT_NAME']}"
    found = json.loads(docker("inspect", *docker("ps", "--all", "--quiet", "--filter", project).split()))
    return {container["Config"]["Labels"]["com.docker.compose.service"]: container for container in found}


def await_healthy(started, services):
    """Waits until each container is healthy, by the events of the engine."""
    waiting = {containers()[service]["Id"]: service for service in services}
    events = subprocess.Popen(
        ["docker", "events", "--since", started, "--until", str(int(time.time()) + PATIENCE),
         "--filter", "event=health_status", "--format", "{{json .}}"],
        stdout=subprocess.PIPE, text=True,
    )
    for line in events.stdout:
        event = json.loads(line)
        if event["status"] == "health_status: healthy" and event["id"] in waiting:
            print(f"{waiting.pop(event['id'])} healthy after {event['timeNano'] / 1e9 - float(started):.1f} s")
        if not waiting:
            events.kill()
            return
    for service in waiting.values():
        sys.stderr.write(docker("logs", "--tail", "20", containers()[service]["Id"]))
    raise AssertionError(f"not healthy within {PATIENCE} s: {', '.join(waiting.values())}")


def fetch(url):
    with urllib.request.urlopen(url) as response:
        return json.load(response)


def get(path, **parameters):
    return fetch(f"{PROMETHEUS}/{path}?{urllib.parse.urlencode(parameters)}")["data"]


def series(expression):
    return get("query", query=expression)["result"]


def await_true(what, condition):
    deadline = time.monotonic() + PATIENCE
    while not (seen := condition()):
        assert time.monotonic() < deadline, f"not within {PATIENCE} s: {what}"
        time.sleep(0.5)  # Prometheus has no notifications, so it is polled.
    print(f"{what}: {seen}" if isinstance(seen, str) else what)


def targets_up():
    targets = get("targets")["activeTargets"]
    if targets and all(target["health"] == "up" for target in targets):
        return ", ".join(sorted(target["labels"]["job"] for target in targets))


def rises(metric):
    def risen():
        return any(float(sample["value"][1]) > 0 for sample in series(f"sum(increase({metric}[1m]))"))
    await_true(f"{metric} rises", risen)


def home(tree):
    return json.loads((tree / "deploy/compose/grafana/home.json").read_text())


def check_grafana(tree):
    """Checks the view of an anonymous user."""
    title = fetch(f"{GRAFANA}/dashboards/home")["dashboard"]["title"]
    assert title == home(tree)["title"], title
    found = {dashboard["uid"] for dashboard in fetch(f"{GRAFANA}/search?type=dash-db")}
    wanted = {json.loads(path.read_text())["uid"] for path in (tree / "deploy/dashboards").glob("*.json")}
    assert found == wanted, found
    print("Grafana opens on the home dashboard and has all others")


def check_prometheus(tree):
    await_true("every target is up", targets_up)
    jobs = {target["labels"]["job"] for target in get("targets")["activeTargets"]}
    assert {"spacelift-promex", "spot-interruption-exporter"} <= jobs, jobs
    for counter in ("interruption_events_total", "spacelift_promex_api_requests_total", "spacelift_runs_total"):
        rises(counter)
    rules = [rule for group in get("rules")["groups"] for rule in group["rules"]]
    assert rules and not [rule["name"] for rule in rules if rule["health"] == "err"], rules
    print(f"{len(rules)} rules are evaluated")
    await_true("Alertmanager is discovered", lambda: get("alertmanagers")["activeAlertmanagers"])
    for panel in home(tree)["panels"]:
        expression = panel["targets"][0]["expr"].replace("$__rate_interval", "30s")
        await_true(f"the home dashboard shows {panel['title']!r}", lambda: series(expression))


def check_confinement(service, container):
    """Checks the confinement of the process by the kernel's data, not by its configuration."""
    process = pathlib.Path("/proc") / str(container["State"]["Pid"])
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
    assert "0" not in status["Uid"].split(), f"{service} runs as root"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0, f"{service} has capabilities"
    assert status["NoNewPrivs"] == "1", f"{service} can gain privileges"
    root = next(line.split() for line in (process / "mountinfo").read_text().splitlines() if line.split()[4] == "/")
    assert "ro" in root[5].split(","), f"{service} can write its root file system: {root}"
    published = [binding["HostIp"] for bindings in container["HostConfig"]["PortBindings"].values() for binding in bindings]
    assert set(published) <= {"127.0.0.1"}, f"{service} listens on {published}"


def stop(service, container):
    begin = time.monotonic()
    docker("stop", "--time", "30", container["Id"])
    took = time.monotonic() - begin
    code = json.loads(docker("inspect", container["Id"]))[0]["State"]["ExitCode"]
    assert code == 0, f"{service} exited with {code}"
    if service in ("spacelift-promex", "spot-interruption-exporter"):
        assert took <= STOP_WITHIN, f"{service} took {took:.1f} s to exit"
    print(f"{service} exited with 0 in {took:.1f} s")


def main(started, tree, *services):
    await_healthy(started, services)
    check_prometheus(pathlib.Path(tree))
    if "grafana" in services:
        check_grafana(pathlib.Path(tree))
    running = containers()
    assert set(running) == set(services), running.keys()
    for service, container in running.items():
        check_confinement(service, container)
    print("all services run as non-root users, without capabilities, on read-only file systems, on the loopback interface")
    for service in reversed(services):
        stop(service, running[service])


main(*sys.argv[1:])
