"""Webhooks: Spacelift can reach only one path on one port of one pod."""

import contextlib
import os
import re
import shlex
import socket
import subprocess

import pytest
import yaml

from charts import DEPLOY, HERE, chart, documents, helm_template, objects, of_kind, only, run
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
    """Returns the ports named webhook of the pod and of the Service."""
    (of_pod,) = [port for port in exporter(source)[1]["ports"] if port["name"] == "webhook"]
    (of_service,) = [port for port in only(source, "Service")["spec"]["ports"] if port["name"] == "webhook"]
    return of_pod, of_service


def test_without_a_secret_nothing_configures_webhooks(source):
    """So older versions of the image accept the configuration."""
    if source in RECEIVING + KUSTOMIZED:
        return
    assert not [name for name in environment(source) if "WEBHOOK" in name or "RUNS" in name or "STATE_PATH" in name]
    assert [port["name"] for port in exporter(source)[1]["ports"]] == ["metrics"]
    assert of_kind(source, "Ingress") + of_kind(source, "HTTPRoute") == []


@pytest.mark.parametrize("receiving", RECEIVING + KUSTOMIZED)
def test_one_pod_receives_on_a_separate_port(receiving):
    variables, (of_pod, _) = environment(receiving), webhook_port(receiving)
    assert variables["SPACELIFT_PROMEX_WEBHOOK_LISTEN_ADDRESS"] == f":{of_pod['containerPort']}"
    assert not variables["SPACELIFT_PROMEX_LISTEN_ADDRESS"].endswith(f":{of_pod['containerPort']}")
    spec = only(receiving, "Deployment")["spec"]
    assert spec["replicas"] == 1
    volumes = [volume for volume in spec["template"]["spec"]["volumes"] if "persistentVolumeClaim" in volume]
    assert (spec.get("strategy") == {"type": "Recreate"}) == bool(volumes) == ("SPACELIFT_PROMEX_STATE_PATH" in variables)


@pytest.mark.parametrize("receiving", RECEIVING + KUSTOMIZED)
def test_the_secret_is_a_file_that_kubelet_updates(receiving):
    """Variables and files mounted by subPath would not be updated."""
    path = environment(receiving)["SPACELIFT_PROMEX_WEBHOOK_SECRET_FILE"]
    assert "SPACELIFT_PROMEX_WEBHOOK_SECRET" not in environment(receiving)
    (mount,) = [mount for mount in exporter(receiving)[1]["volumeMounts"] if path.startswith(f"{mount['mountPath']}/")]
    assert "subPath" not in mount


def test_ingress_and_route_expose_only_the_path_and_port():
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


def test_a_gateway_uses_tls(tmp_path):
    """The webhook port uses the certificate of the web configuration."""
    for values, expected in [({}, None), ({"webConfig": {"tlsSecretName": "existing-certificate"}}, "https")]:
        things = render({"webhook": {"existingSecret": "hook"}} | values, tmp_path)
        (service,) = [thing for thing in things if thing["kind"] == "Service"]
        assert service["spec"]["ports"][1].get("appProtocol") == expected


@pytest.mark.parametrize(("size", "expected"), [(8388608, "8388608"), (20000000, "20000000"), ("16MiB", "16MiB")])
def test_a_size_is_rendered_as_an_integer(size, expected, tmp_path):
    """Helm parses numbers as floating point: 8.388608e+06."""
    things = render({"webhook": {"existingSecret": "hook", "maxBody": size}}, tmp_path)
    assert [thing["data"]["SPACELIFT_PROMEX_WEBHOOK_MAX_BODY"] for thing in things if thing["kind"] == "ConfigMap"] == [expected]


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
def test_a_replaced_pod_continues_the_same_series(kind):
    things = objects(f"helm/{NAME}/webhooks-exposed")
    before, after = (target(things, kind, pod) for pod in ["promex-1", "promex-2"])
    assert before == after and before["instance"] == "acme" and "pod" not in before


def test_the_collector_can_be_disabled_with_a_secret(tmp_path):
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
def test_notes_contain_the_settings_for_spacelift(webhook, urls, tmp_path):
    said = notes(tmp_path, {"webhook": {"existingSecret": "hook"} | webhook})
    assert [word for word in said.replace("<your host>", "<your_host>").split() if word.startswith("https://") and "github.com" not in word] == [
        url.replace("<your host>", "<your_host>") for url in urls
    ]
    assert "the value of key SPACELIFT_PROMEX_WEBHOOK_SECRET of Secret hook" in said
    assert ("Spacelift must reach port 9954 (webhook)" in said) == (webhook == {})


def test_notes_do_not_mention_webhooks_without_them(tmp_path):
    assert "Webhooks" not in notes(tmp_path, {})


# The commands of docs/webhooks.md are run unchanged.

DOCUMENT = (DEPLOY.parent / "docs/webhooks.md").read_text()


def commands(heading):
    """Returns the first block of commands below a heading."""
    below = DOCUMENT.partition(f"{heading}\n")[2]
    return re.search(r"^```shell\n(.*?)^```", below, re.MULTILINE | re.DOTALL)[1]


def test_the_values_in_the_document_work():
    """The commands render an Ingress, a volume and the secret."""
    words = shlex.split(commands("### 2. Configure the exporter").replace("\\\n", " "))
    flags = words[words.index("--reset-then-reuse-values") + 1 :]
    things = documents(helm_template(NAME, "--values", HERE / "values" / NAME / "defaults.yaml", *flags))
    assert {"Ingress", "PersistentVolumeClaim"} <= {thing["kind"] for thing in things}
    (ingress,) = [thing for thing in things if thing["kind"] == "Ingress"]
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"] for rule in ingress["spec"]["rules"]]


def test_the_thresholds_in_the_document_work(tmp_path):
    (block,) = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    (rule,) = [thing for thing in render(yaml.safe_load(block), tmp_path) if thing["kind"] == "PrometheusRule"]
    expressions = {rule["alert"]: rule["expr"] for group in rule["spec"]["groups"] for rule in group["rules"] if "alert" in rule}
    assert 'stack=~"prod-.*"' in expressions["SpaceliftRunFailed"]
    assert "> 7200" in expressions["SpaceliftRunUnconfirmed"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def receiver(directory):
    """Starts the program with the secret of the document. Returns the address of its webhook port."""
    ports = {"SPACELIFT_PROMEX_LISTEN_ADDRESS": free_port(), "SPACELIFT_PROMEX_WEBHOOK_LISTEN_ADDRESS": free_port()}
    variables = {name: f"127.0.0.1:{port}" for name, port in ports.items()} | {
        "SPACELIFT_PROMEX_API_ENDPOINT": "http://127.0.0.1:9",
        "SPACELIFT_PROMEX_API_KEY_ID": "01HXXXXXXXXXXXXXXXXXXXXXXX",
        "SPACELIFT_PROMEX_API_KEY_SECRET": "secret",
        "SPACELIFT_PROMEX_WEBHOOK_SECRET_FILE": str(directory / "webhook-secret"),
    }
    with subprocess.Popen([os.environ["SPACELIFT_PROMEX"], "serve"], env=variables, stderr=subprocess.DEVNULL) as program:
        try:
            yield f"http://127.0.0.1:{ports['SPACELIFT_PROMEX_WEBHOOK_LISTEN_ADDRESS']}"
        finally:
            program.terminate()


def deliver(address, directory, script):
    """Makes a test delivery. Returns the status and the response."""
    script = script.replace("https://hooks.example.com", address)
    waiting = "curl --silent --show-error --retry 20 --retry-connrefused --retry-delay 1 --write-out '\\n%{http_code}'"
    script = script.replace("curl --include", waiting)
    result = subprocess.run(["bash", "-euc", script], cwd=directory, capture_output=True, text=True, check=True)
    *answer, status = result.stdout.split()
    return int(status), answer


def test_the_test_delivery_and_the_rotation_in_the_document_work(tmp_path):
    by_old = commands("### A test delivery")
    header = '--header "X-Signature-256: sha256=$signature"'
    assert header in by_old
    unsigned, by_new = by_old.replace(header, ""), by_old.replace("cat webhook-secret)", "cat webhook-secret-new)")
    # The content of the file, as kubelet would update it.
    by_old = by_old.replace("cat webhook-secret)", "cat webhook-secret-old)")
    make = [line for line in (commands("### 1. Create a secret") + commands("## Rotate the secret")).splitlines() if line.startswith(("openssl", "cat"))]
    subprocess.run(["bash", "-euc", "\n".join([*make, "cp webhook-secret webhook-secret-old"])], cwd=tmp_path, check=True)
    with receiver(tmp_path) as address:
        assert deliver(address, tmp_path, by_old) == (200, ["ignored"])
        assert deliver(address, tmp_path, unsigned) == (401, ["bad_signature"])
        assert deliver(address, tmp_path, by_new)[0] == 401
        for content, accepted in [("webhook-secrets", [by_old, by_new]), ("webhook-secret-new", [by_new])]:
            (tmp_path / "webhook-secret").write_bytes((tmp_path / content).read_bytes())
            # The file is cached for a tenth of a second.
            subprocess.run(["sleep", "0.2"], check=True)
            assert [deliver(address, tmp_path, script)[0] for script in [by_old, by_new]] == [200 if script in accepted else 401 for script in [by_old, by_new]]
