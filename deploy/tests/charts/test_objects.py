"""Consistency between the objects of a release, and properties of its pods."""

import re

import pytest
import yaml

from charts import CHARTS, SOURCES, objects, of_kind, only, rule_groups
from pods import environment, exporter, mounts, pods

# The restricted Pod Security Standard, https://kubernetes.io/docs/concepts/security/pod-security-standards/
RESTRICTED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
HOST_NAMESPACES = ["hostNetwork", "hostPID", "hostIPC"]
ALLOWED_SECCOMP = ("RuntimeDefault", "Localhost")
ALLOWED_ADDED_CAPABILITIES = {"NET_BIND_SERVICE"}


def containers(spec):
    return spec["containers"] + spec.get("initContainers", [])


def violations(spec):
    """Returns the violations of the restricted standard by a pod."""
    for key in HOST_NAMESPACES:
        if spec.get(key):
            yield key
    for volume in spec.get("volumes") or []:
        if unknown := set(volume) - {"name"} - RESTRICTED_VOLUMES:
            yield f"volume {volume['name']}: {unknown}"
    of_pod = spec.get("securityContext", {})
    if of_pod.get("sysctls"):
        yield "sysctls"
    for container in containers(spec):
        context = container.get("securityContext", {})
        capabilities = context.get("capabilities", {})
        checks = {
            "privileged": not context.get("privileged"),
            "allowPrivilegeEscalation": context.get("allowPrivilegeEscalation") is False,
            "capabilities.drop": "ALL" in capabilities.get("drop", []),
            "capabilities.add": set(capabilities.get("add", [])) <= ALLOWED_ADDED_CAPABILITIES,
            "runAsNonRoot": context.get("runAsNonRoot", of_pod.get("runAsNonRoot")) is True,
            "runAsUser": context.get("runAsUser", of_pod.get("runAsUser", 0)) > 0,
            "seccompProfile": {**of_pod, **context}.get("seccompProfile", {}).get("type") in ALLOWED_SECCOMP,
            "procMount": context.get("procMount", "Default") == "Default",
            "seLinuxOptions": "seLinuxOptions" not in {**of_pod, **context},
            "hostPort": not any("hostPort" in port for port in container.get("ports", [])),
            "readOnlyRootFilesystem": context.get("readOnlyRootFilesystem") is True,
        }
        yield from (f"{container['name']}: {name}" for name, holds in checks.items() if not holds)
    if spec.get("automountServiceAccountToken") is not False:
        yield "automountServiceAccountToken"


def test_pods_follow_the_restricted_standard(source):
    assert [found for _, spec in pods(source) for found in violations(spec)] == []


def matches(selector, labels):
    return selector.items() <= labels.items()


def port_of(container, name="metrics"):
    (port,) = [port for port in container["ports"] if port["name"] == name]
    return port


# The pod selector of each kind.
SELECTORS = {
    "Deployment": lambda spec: spec["selector"]["matchLabels"],
    "Service": lambda spec: spec["selector"],
    "NetworkPolicy": lambda spec: spec["podSelector"]["matchLabels"],
    "PodDisruptionBudget": lambda spec: spec["selector"]["matchLabels"],
    "PodMonitor": lambda spec: spec["selector"]["matchLabels"],
    "PodMonitoring": lambda spec: spec["selector"]["matchLabels"],
}


def test_selectors_match_only_the_pods_of_the_exporter(deployed_source):
    template, _ = exporter(deployed_source)
    selecting = [thing for thing in objects(deployed_source) if thing["kind"] in SELECTORS]
    assert {"Deployment", "Service"} <= {thing["kind"] for thing in selecting}
    for thing in selecting:
        selector = SELECTORS[thing["kind"]](thing["spec"])
        found = [
            metadata for metadata, _ in pods(deployed_source) if selector and matches(selector, metadata["labels"])
        ]
        assert found == [template["metadata"]], thing["kind"]


def test_service_uses_the_port_of_the_exporter(deployed_source):
    _, container = exporter(deployed_source)
    ports = only(deployed_source, "Service")["spec"]["ports"]
    assert {*names_of(ports)} == {*names_of(container["ports"])}
    assert "metrics" in names_of(ports)
    for port in ports:
        there = port_of(container, port["name"])
        assert port["targetPort"] in (there["name"], there["containerPort"])


def names_of(ports):
    return [port["name"] for port in ports]


def test_service_monitor_selects_the_service(deployed_source):
    service = only(deployed_source, "Service")
    for monitor in of_kind(deployed_source, "ServiceMonitor"):
        spec = monitor["spec"]
        assert matches(spec["selector"]["matchLabels"], service["metadata"]["labels"])
        looked_into = spec.get("namespaceSelector", {}).get("matchNames", [monitor["metadata"].get("namespace")])
        assert looked_into == [service["metadata"].get("namespace")]
        assert [endpoint["port"] for endpoint in spec["endpoints"]] == ["metrics"]


def test_pod_monitors_select_the_pods(source):
    template, container = exporter(source)
    namespace = only(source, "Deployment")["metadata"].get("namespace")
    for monitor in of_kind(source, "PodMonitor"):
        assert monitor["spec"]["namespaceSelector"]["matchNames"] == [namespace]
    for monitor in of_kind(source, "PodMonitoring"):
        assert monitor["metadata"]["namespace"] == namespace
    assert {endpoint["port"] for endpoint in endpoints(source)} <= {port_of(container)["name"]}


def endpoints(source):
    """Returns the endpoints of all monitors."""
    keys = {"ServiceMonitor": "endpoints", "PodMonitor": "podMetricsEndpoints", "PodMonitoring": "endpoints"}
    return [
        endpoint for kind, key in keys.items() for monitor in of_kind(source, kind) for endpoint in monitor["spec"][key]
    ]


def test_probes_and_monitors_use_the_scheme_of_the_exporter(source):
    _, container = exporter(source)
    web = next((texts["web-config.yaml"] for texts in mounts(source).values() if "web-config.yaml" in texts), "")
    scheme = "https" if "tls_server_config" in web else "http"
    assert {endpoint.get("scheme", "http") for endpoint in endpoints(source)} <= {scheme}
    for probe in [container.get("livenessProbe", {}), container["readinessProbe"]]:
        assert len({"httpGet", "tcpSocket", "exec", "grpc"} & set(probe)) <= 1
        if get := probe.get("httpGet"):
            assert get["port"] in (port_of(container)["name"], port_of(container)["containerPort"])
            assert get.get("scheme", "HTTP").lower() == scheme


def test_network_policies_use_the_port_of_the_pod(source):
    _, container = exporter(source)
    for policy in of_kind(source, "NetworkPolicy"):
        (rule, *others) = policy["spec"]["ingress"]
        assert [port["port"] for port in rule["ports"]] == [port_of(container)["containerPort"]]
        open_to_others = [port["port"] for other in others for port in other["ports"]]
        assert open_to_others == [port["containerPort"] for port in container["ports"] if port["name"] == "webhook"]
        if not source.endswith("/everything"):
            assert {"podSelector": {}} in rule["from"]
            assert policy["spec"]["policyTypes"] == ["Ingress"]


def test_referenced_objects_exist(deployed_source):
    environment(deployed_source)
    mounts(deployed_source)
    spec = exporter(deployed_source)[0]["spec"]
    there = {(thing["kind"], thing["metadata"]["name"]) for thing in objects(deployed_source)}
    claims = [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in spec.get("volumes") or []
        if "persistentVolumeClaim" in volume
    ]
    assert all(("PersistentVolumeClaim", name) in there or name.startswith("existing-") for name in claims)
    account = spec.get("serviceAccountName", "default")
    assert account == "default" or ("ServiceAccount", account) in there


def test_namespaces_are_equal_except_for_monitoring(source):
    namespace = only(source, "Deployment")["metadata"].get("namespace")
    elsewhere = {"ServiceMonitor", "PodMonitor", "PrometheusRule", "Namespace"}
    others = [thing for thing in objects(source) if thing["kind"] not in elsewhere and not is_dashboard(thing)]
    # Extra manifests are objects of the user.
    own = [thing for thing in others if "labels" in thing["metadata"]]
    assert {thing["metadata"].get("namespace") for thing in own} == {namespace}


def is_dashboard(thing):
    return "grafana_dashboard" in thing["metadata"].get("labels", {})


def test_images_are_pinned(source):
    for _, spec in pods(source):
        for container in containers(spec):
            tag = container["image"].rpartition("/")[2]
            assert re.search(r"(:(?!latest$)[^@]+|@sha256:[0-9a-f]{64})$", tag), container["image"]


def test_exporter_listens_on_the_port_of_the_pod(deployed_source):
    _, container = exporter(deployed_source)
    address = environment(deployed_source).get("SPACELIFT_PROMEX_LISTEN_ADDRESS")
    for texts in mounts(deployed_source).values():
        if "config.yaml" in texts:
            written = yaml.safe_load(texts["config.yaml"])["prometheus"]
            address = written.get("address") or f":{written['port']}"
            assert {endpoint.get("path", "/metrics") for endpoint in endpoints(deployed_source)} <= {written["path"]}
    assert int(address.rpartition(":")[2]) == port_of(container)["containerPort"]


@pytest.mark.parametrize("spot_source", [source for source in SOURCES if "spot-interruption-exporter" in source])
def test_there_is_never_a_second_consumer(spot_source):
    spec = only(spot_source, "Deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}
    assert of_kind(spot_source, "HorizontalPodAutoscaler") == []


@pytest.mark.parametrize("name", CHARTS)
def test_custom_rules_are_added_to_the_packaged_rules(name):
    groups = only(f"helm/{name}/everything", "PrometheusRule")["spec"]["groups"]
    assert [group["name"] for group in groups] == [*(group["name"] for group in rule_groups(name)), f"acme-{name}-extra"]


@pytest.mark.parametrize("name", CHARTS)
def test_a_changed_configuration_replaces_the_pods(name):
    checksums = [
        exporter(f"helm/{name}/{values}")[0]["metadata"]["annotations"] for values in ["defaults", "everything"]
    ]
    assert checksums[0]["checksum/config"] != checksums[1]["checksum/config"]
    assert "checksum/web-config" in checksums[1]
