"""docker-compose.yml: services are confined, can reach each other, and are scraped with the names of the charts."""

import json
import re

import pytest
import yaml
from files import PROMETHEUS, ROOT, SERVICES, STAGES, exec_form, mounts, published
from promises import RELEASED, program

EACH = pytest.mark.parametrize("name", SERVICES)
DATASOURCES = yaml.safe_load((ROOT / "deploy/compose/grafana/provisioning/datasources/prometheus.yaml").read_text())
PROVIDERS = yaml.safe_load((ROOT / "deploy/compose/grafana/provisioning/dashboards/dashboards.yaml").read_text())


@EACH
def test_a_service_is_confined(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"] and "cap_add" not in service and "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    user = service.get("user") or STAGES[service["build"]["target"]].last("USER")
    assert re.fullmatch(r"[1-9][0-9]*:[0-9]+", user)


@EACH
def test_ports_are_published_on_loopback_only(name):
    assert all(address == "127.0.0.1" for address, _, _ in published(SERVICES[name]))


@EACH
def test_a_service_has_a_health_check(name):
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


@EACH
def test_an_image_is_built_or_pinned(name):
    service = SERVICES[name]
    if "build" in service:
        assert service["build"]["target"] in STAGES
        assert (ROOT / service["build"]["dockerfile"]).is_file()
        assert "image" not in service, "an image with a name could be pulled instead of built"
    else:
        assert re.search(r":v?[0-9]+\.[0-9]+\.[0-9]+", service["image"]) and ":latest" not in service["image"]


@EACH
def test_what_a_service_mounts_exists(name):
    for path in mounts(SERVICES[name]).values():
        assert path.exists(), path
    assert len(mounts(SERVICES[name])) == len(SERVICES[name].get("volumes", []))


def test_no_image_uses_latest():
    for path in ROOT / "docker-compose.yml", *ROOT.glob("deploy/compose/**/*.*"), *ROOT.glob("deploy/docker/*"):
        assert ":latest" not in path.read_text(), path


@pytest.mark.parametrize("name", RELEASED)
def test_an_exporter_is_the_released_image(name):
    service, port = SERVICES[name], str(RELEASED[name].port)
    assert STAGES[service["build"]["target"]].base == name
    assert "command" not in service and "entrypoint" not in service
    assert service["healthcheck"]["test"][-1] == f"http://127.0.0.1:{port}/ready"
    assert published(service) == [("127.0.0.1", port, port)]


def targets(job):
    return [target for config in job["static_configs"] for target in config["targets"]]


def test_jobs_have_the_names_of_the_charts():
    jobs = {job["job_name"]: targets(job) for job in PROMETHEUS["scrape_configs"]}
    for name, image in RELEASED.items():
        assert jobs[name] == [f"{name}:{image.port}"]


def test_targets_have_the_labels_of_the_charts():
    """Labels contain the release and not the address or container, so series continue when the container is replaced."""
    for job in PROMETHEUS["scrape_configs"]:
        if (name := job["job_name"]) in RELEASED:
            (config,) = job["static_configs"]
            assert config["labels"] == {"instance": name, "app_kubernetes_io_instance": name}


def test_scrape_targets_are_services_with_these_ports():
    addresses = [target for job in PROMETHEUS["scrape_configs"] + PROMETHEUS["alerting"]["alertmanagers"] for target in targets(job)]
    for target in addresses:
        host, _, port = target.partition(":")
        service = SERVICES["prometheus" if host == "localhost" else host]
        assert port in [inside for _, _, inside in published(service)], target


def test_prometheus_loads_the_rules_of_the_charts():
    assert PROMETHEUS["rule_files"] == ["rules/*.yaml"]
    rules = mounts(SERVICES["prometheus"])["/etc/prometheus/rules"]
    assert {path.stem for path in rules.glob("*.yaml")} == set(RELEASED)


def test_grafana_has_all_dashboards_and_opens_the_home_dashboard():
    grafana = SERVICES["grafana"]
    seen = mounts(grafana)
    (provider,) = PROVIDERS["providers"]
    assert {path.stem for path in seen[provider["options"]["path"]].glob("*.json")} == {*RELEASED, "spacelift-runs"}
    home = json.loads(seen[grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]].read_text())
    (datasource,) = DATASOURCES["datasources"]
    assert {panel["datasource"]["uid"] for panel in home["panels"]} == {datasource["uid"]}
    assert datasource["url"] == "http://prometheus:9090"
    assert datasource["jsonData"]["timeInterval"] == PROMETHEUS["global"]["scrape_interval"]
    (tag,) = home["links"][0]["tags"]
    for path in seen[provider["options"]["path"]].glob("*.json"):
        assert tag in json.loads(path.read_text())["tags"], path


def test_webhooks_are_delivered_to_the_exporter_with_their_secret():
    sandbox, promex = (SERVICES[name]["environment"] for name in ["sandbox-spacelift", "spacelift-promex"])
    assert sandbox["SANDBOX_WEBHOOK_URL"] == f"http://spacelift-promex:{RELEASED['spacelift-promex'].port}/webhook"
    assert sandbox["SANDBOX_WEBHOOK_SECRET"] == promex["SPACELIFT_PROMEX_WEBHOOK_SECRET"]


def test_grafana_allows_anonymous_viewers():
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "true"
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"


def test_the_sandbox_uses_the_entrypoint_of_its_image():
    for name in "sandbox-spacelift", "sandbox-google":
        assert exec_form(STAGES["sandbox"].last("ENTRYPOINT")) == [program("sandbox")]
        assert SERVICES[name]["command"][0] == name.removeprefix("sandbox-")
