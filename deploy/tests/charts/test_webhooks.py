"""Webhooks: what is open to Spacelift is one path on one port, and one pod receives it."""

import pytest
import yaml

from charts import HERE, chart, documents, helm_template, objects, of_kind, only, run
from pods import environment, exporter
from targets import target

NAME = "spacelift-promex"
RECEIVING = [f"helm/{NAME}/{variant}" for variant in ["webhooks", "webhooks-exposed", "webhooks-from-volume"]]
KUSTOMIZED = [f"kustomize/{NAME}/webhooks-overlay"]


def render(values, tmp_path):
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    return documents(helm_template(NAME, "--values", HERE / "values" / NAME / "defaults.yaml", "--values", file))


def webhook_port(source):
    """The ports called webhook, of the pod and of the Service."""
    (of_pod,) = [port for port in exporter(source)[1]["ports"] if port["name"] == "webhook"]
    (of_service,) = [port for port in only(source, "Service")["spec"]["ports"] if port["name"] == "webhook"]
    return of_pod, of_service


def test_without_a_secret_nothing_is_said_of_webhooks(source):
    """Whatever the version of the image knows of them."""
    if source in RECEIVING + KUSTOMIZED:
        return
    assert not [name for name in environment(source) if "WEBHOOK" in name or "RUNS" in name or "STATE_PATH" in name]
    assert [port["name"] for port in exporter(source)[1]["ports"]] == ["metrics"]
    assert of_kind(source, "Ingress") + of_kind(source, "HTTPRoute") == []


@pytest.mark.parametrize("receiving", RECEIVING + KUSTOMIZED)
def test_one_pod_receives_on_a_port_of_its_own(receiving):
    variables, (of_pod, _) = environment(receiving), webhook_port(receiving)
    assert variables["SPACELIFT_PROMEX_WEBHOOK_LISTEN_ADDRESS"] == f":{of_pod['containerPort']}"
    assert not variables["SPACELIFT_PROMEX_LISTEN_ADDRESS"].endswith(f":{of_pod['containerPort']}")
    spec = only(receiving, "Deployment")["spec"]
    assert spec["replicas"] == 1
    volumes = [volume for volume in spec["template"]["spec"]["volumes"] if "persistentVolumeClaim" in volume]
    assert (spec.get("strategy") == {"type": "Recreate"}) == bool(volumes) == ("SPACELIFT_PROMEX_STATE_PATH" in variables)


@pytest.mark.parametrize("receiving", RECEIVING + KUSTOMIZED)
def test_the_secret_is_a_file_that_kubelet_renews(receiving):
    """Not a variable, which stays as it was at the start, nor a file mounted by subPath, which does too."""
    path = environment(receiving)["SPACELIFT_PROMEX_WEBHOOK_SECRET_FILE"]
    assert "SPACELIFT_PROMEX_WEBHOOK_SECRET" not in environment(receiving)
    (mount,) = [mount for mount in exporter(receiving)[1]["volumeMounts"] if path.startswith(f"{mount['mountPath']}/")]
    assert "subPath" not in mount


def test_ingress_and_route_lead_to_the_path_and_port_only():
    source = f"helm/{NAME}/webhooks-exposed"
    service = only(source, "Service")["metadata"]
    path, (_, port) = environment(source)["SPACELIFT_PROMEX_WEBHOOK_PATH"], webhook_port(source)
    ingress, route = only(source, "Ingress"), only(source, "HTTPRoute")
    assert {ingress["metadata"]["namespace"], route["metadata"]["namespace"]} == {service["namespace"]}
    for rule in ingress["spec"]["rules"]:
        (only_path,) = rule["http"]["paths"]
        assert rule["host"] and (only_path["path"], only_path["pathType"]) == (path, "Exact")
        assert only_path["backend"]["service"] == {"name": service["name"], "port": {"name": port["name"]}}
    assert "defaultBackend" not in ingress["spec"]
    (rule,) = route["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "Exact", "value": path}}]
    assert rule["backendRefs"] == [{"name": service["name"], "port": port["port"]}]


def test_a_service_of_type_clusterip_has_no_node_ports(tmp_path):
    values = {"webhook": {"existingSecret": "hook", "nodePort": 30443}}
    (service,) = [thing for thing in render(values, tmp_path) if thing["kind"] == "Service"]
    assert all("nodePort" not in port for port in service["spec"]["ports"])


def test_a_gateway_is_told_of_tls(tmp_path):
    """The web config's certificate is that of the webhooks' port too."""
    for values, expected in [({}, None), ({"webConfig": {"tlsSecretName": "existing-certificate"}}, "https")]:
        things = render({"webhook": {"existingSecret": "hook"}} | values, tmp_path)
        (service,) = [thing for thing in things if thing["kind"] == "Service"]
        assert service["spec"]["ports"][1].get("appProtocol") == expected


@pytest.mark.parametrize(("size", "expected"), [(8388608, "8388608"), (20000000, "20000000"), ("16MiB", "16MiB")])
def test_a_size_stays_a_whole_number(size, expected, tmp_path):
    """Helm takes numbers for floating point: 8.388608e+06."""
    things = render({"webhook": {"existingSecret": "hook", "maxBody": size}}, tmp_path)
    assert [thing["data"]["SPACELIFT_PROMEX_WEBHOOK_MAX_BODY"] for thing in things if thing["kind"] == "ConfigMap"] == [expected]


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
def test_a_replaced_pod_goes_on_in_the_same_series(kind):
    things = objects(f"helm/{NAME}/webhooks-exposed")
    before, after = (target(things, kind, pod) for pod in ["promex-1", "promex-2"])
    assert before == after and before["instance"] == "acme" and "pod" not in before


def test_the_collector_can_be_off_while_the_secret_stays(tmp_path):
    things = render({"webhook": {"existingSecret": "hook"}, "collectors": {"runs": False}}, tmp_path)
    assert [thing["data"]["SPACELIFT_PROMEX_COLLECTOR_RUNS"] for thing in things if thing["kind"] == "ConfigMap"] == ["false"]


def notes(tmp_path, values):
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    defaults = HERE / "values" / NAME / "defaults.yaml"
    command = ["helm", "install", "acme", chart(NAME), "--dry-run=client", "--values", defaults, "--values", file]
    return run(*command).partition("NOTES:")[2]


EXPOSED = {"enabled": True, "hosts": ["hooks.example.com"]}
ROUTED = {"enabled": True, "parentRefs": [{"name": "public"}], "hostnames": ["other.example.com"]}


@pytest.mark.parametrize(
    ("webhook", "urls"),
    [
        ({"ingress": EXPOSED}, ["https://hooks.example.com/webhook"]),
        ({"ingress": EXPOSED, "path": "/in"}, ["https://hooks.example.com/in"]),
        ({"ingress": EXPOSED, "httpRoute": ROUTED}, ["https://hooks.example.com/webhook", "https://other.example.com/webhook"]),
        ({}, ["https://<your host>/webhook"]),
    ],
)
def test_notes_say_what_to_enter_at_spacelift(webhook, urls, tmp_path):
    said = notes(tmp_path, {"webhook": {"existingSecret": "hook"} | webhook})
    assert [word for word in said.replace("<your host>", "<your_host>").split() if word.startswith("https://") and "github.com" not in word] == [
        url.replace("<your host>", "<your_host>") for url in urls
    ]
    assert "what Secret hook has under SPACELIFT_PROMEX_WEBHOOK_SECRET" in said
    assert ("Spacelift must reach port 9954 (webhook)" in said) == (webhook == {})


def test_notes_say_nothing_of_webhooks_without_them(tmp_path):
    assert "Webhooks" not in notes(tmp_path, {})
