"""Releases in one namespace, replaced pods, and upgrades with values of other charts."""

import re
import shutil

import pytest
import yaml

from charts import (
    CHARTS,
    DEPLOY,
    HERE,
    SOURCES,
    chart,
    documents,
    helm_template,
    objects,
    of_kind,
    only,
    run,
    umbrella_template,
    values_of,
)
from pods import exporter, program
from targets import relabelled

RELEASE = "app.kubernetes.io/instance"
VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")


def render(name, tmp_path, values, *options, release="acme"):
    more = tmp_path / f"{release}.yaml"
    more.write_text(yaml.safe_dump(values))
    defaults = HERE / "values" / name / "defaults.yaml"
    return documents(helm_template(name, "--values", defaults, "--values", more, *options, release=release))


def deployment(things):
    (thing,) = [thing for thing in things if thing["kind"] == "Deployment"]
    return thing


def container(things):
    return deployment(things)["spec"]["template"]["spec"]["containers"][0]


EVERYTHING = {
    key: {"enabled": True}
    for key in ["serviceMonitor", "podMonitor", "prometheusRule", "dashboards", "networkPolicy", "podDisruptionBudget", "verticalPodAutoscaler"]
}  # fmt: skip


@pytest.mark.parametrize("name", CHARTS)
def test_two_releases_can_share_a_namespace(name, tmp_path):
    """Names and target labels are unique, and selectors do not match pods of the other release."""
    values = EVERYTHING | ({"podMonitoring": {"enabled": True}, "persistence": {"enabled": True}} if "spot" in name else {})
    releases = {release: render(name, tmp_path, values, release=release) for release in ["one", "two"]}
    things = [thing for rendered in releases.values() for thing in rendered]
    names = [(thing["kind"], thing["metadata"]["namespace"], thing["metadata"]["name"]) for thing in things]
    assert len({*names}) == len(names)
    files = [file for thing in things if thing["kind"] == "ConfigMap" for file in thing["data"] if file.endswith(".json")]
    assert len({*files}) == len(files) == 2 * (1 + (name == "spacelift-promex")), "Grafana's sidecar puts all of them into one directory"
    for release, rendered in releases.items():
        for thing in rendered:
            match thing["kind"]:
                case "Service":
                    selector = thing["spec"]["selector"]
                case "NetworkPolicy":
                    selector = thing["spec"]["podSelector"]["matchLabels"]
                case "ServiceMonitor" | "PodMonitor" | "PodMonitoring" | "PodDisruptionBudget" | "Deployment":
                    selector = thing["spec"]["selector"]["matchLabels"]
                case _:
                    continue
            assert selector[RELEASE] == release, thing["kind"]


def test_every_target_has_the_label_of_its_release(source):
    """Rules aggregate over `pod` and `instance`, so this label distinguishes releases in one namespace."""
    service, template = only(source, "Service"), exporter(source)[0]
    for kind, key, carried in [
        ("ServiceMonitor", "targetLabels", service["metadata"]["labels"]),
        ("PodMonitor", "podTargetLabels", template["metadata"]["labels"]),
    ]:
        for monitor in of_kind(source, kind):
            assert monitor["spec"][key][0] == RELEASE
            assert carried[RELEASE]
    for monitor in of_kind(source, "PodMonitoring"):
        assert monitor["spec"]["targetLabels"]["fromPod"][0] == {"from": RELEASE, "to": "app_kubernetes_io_instance"}


@pytest.mark.parametrize("variant", ["persistence", "everything"])
def test_a_replaced_pod_continues_the_same_series(variant):
    source = f"helm/spot-interruption-exporter/{variant}"
    for kind, key in [("ServiceMonitor", "endpoints"), ("PodMonitor", "podMetricsEndpoints")]:
        (endpoint,) = only(source, kind)["spec"][key]
        targets = [
            {"namespace": "exporters", "pod": pod, "instance": address, "job": "spot-interruption-exporter"}
            for pod, address in [("spot-1", "10.0.0.1:8090"), ("spot-2", "10.0.0.2:8090")]
        ]
        before, after = (relabelled(endpoint["relabelings"], target) for target in targets)
        assert before == after
        assert before["instance"] == "acme" and "pod" not in before
        if variant == "everything":
            assert endpoint["relabelings"][-1] == {"targetLabel": "environment", "replacement": "production"}


def test_without_persistence_a_target_keeps_its_pod(tmp_path):
    """Counters of a new pod start at 0, so they are separate series."""
    for thing in render("spot-interruption-exporter", tmp_path, EVERYTHING):
        for endpoint in thing["spec"].get("endpoints", []) + thing["spec"].get("podMetricsEndpoints", []) if "spec" in thing else []:
            assert "relabelings" not in endpoint


def test_notes_contain_the_limitation_of_managed_prometheus():
    notes = run(
        "helm", "install", "acme", chart("spot-interruption-exporter"), "--dry-run=client", "--namespace", "exporters",
        "--values", HERE / "values/spot-interruption-exporter/persistence.yaml",
    ).partition("NOTES:")[2]  # fmt: skip
    assert "a PodMonitoring cannot change" in notes


SPOT_NODES = {"cloud.google.com/gke-spot": "true", "cloud.google.com/gke-preemptible": "true", "karpenter.sh/capacity-type": "spot", "eks.amazonaws.com/capacityType": "SPOT"}


def accepts(term, labels):
    """Returns whether a node with these labels satisfies a term."""
    for expression in term.get("matchExpressions", []):
        value, values = labels.get(expression["key"]), expression.get("values", [])
        match expression["operator"]:
            case "NotIn" if value in values:
                return False
            case "In" if value not in values:
                return False
    return True


def node_affinity(source_or_things):
    things = objects(source_or_things) if isinstance(source_or_things, str) else source_or_things
    return deployment(things)["spec"]["template"]["spec"].get("affinity", {}).get("nodeAffinity", {})


SPOT = [source for source in SOURCES if "spot-interruption-exporter" in source]


@pytest.mark.parametrize("spot_source", SPOT)
def test_the_exporter_prefers_nodes_that_are_not_spot(spot_source):
    affinity = node_affinity(spot_source)
    if terms := affinity.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms"):
        zone = {"topology.kubernetes.io/zone": "europe-west1-b"}
        assert any(accepts(term, zone) for term in terms)
        for label, value in SPOT_NODES.items():
            assert not any(accepts(term, zone | {label: value}) for term in terms)
    else:
        (preferred,) = affinity["preferredDuringSchedulingIgnoredDuringExecution"]
        assert accepts(preferred["preference"], {})
        for label, value in SPOT_NODES.items():
            assert not accepts(preferred["preference"], {label: value})


def test_avoiding_spot_nodes_can_be_required_or_disabled(tmp_path):
    name = "spot-interruption-exporter"
    hard = node_affinity(render(name, tmp_path, {"avoidSpotNodes": "required"}))
    assert [*hard] == ["requiredDuringSchedulingIgnoredDuringExecution"]
    assert len(hard["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]) == 1
    assert node_affinity(render(name, tmp_path, {"avoidSpotNodes": "none"})) == {}
    own = {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}
    things = render(name, tmp_path, {"affinity": own})
    assert own.items() <= deployment(things)["spec"]["template"]["spec"]["affinity"].items()


def default_of(variable, cloud):
    text = (DEPLOY.parent / f"infra/{cloud}/variables.tf").read_text()
    (block,) = re.findall(rf'^variable "{variable}" {{\n(.*?)^}}', text, re.MULTILINE | re.DOTALL)
    (default,) = re.findall(r'^  default\s*=\s*"(.*)"$', block, re.MULTILINE)
    return default


@pytest.mark.parametrize("source_with_identity", [source for source in SPOT if source.startswith(("kustomize/", "manifests/"))] + ["helm/spot-interruption-exporter/terraform", "helm/spot-interruption-exporter/terraform-of-aws"])
@pytest.mark.parametrize("cloud", ["gcp", "aws"])
def test_workload_identity_is_granted_to_what_is_installed(source_with_identity, cloud):
    """infra/gcp and infra/aws grant access to one namespace and service account, which are the defaults of each installation method."""
    namespace, name = (default_of(f"kubernetes_service_account_{part}", cloud) for part in ["namespace", "name"])
    account = only(source_with_identity, "ServiceAccount")["metadata"]
    assert (account["namespace"], account["name"]) == (namespace, name)
    pod = only(source_with_identity, "Deployment")
    assert pod["metadata"]["namespace"] == namespace
    assert pod["spec"]["template"]["spec"]["serviceAccountName"] == name
    assert {thing["metadata"]["name"] for thing in of_kind(source_with_identity, "Namespace")} <= {namespace}


def test_label_values_are_valid(any_source):
    for thing in objects(any_source):
        template = thing.get("spec", {}).get("template", {}) if thing["kind"] == "Deployment" else {}
        for metadata in [thing["metadata"], template.get("metadata", {})]:
            for label, value in (metadata.get("labels") or {}).items():
                assert VALUE.fullmatch(value), f"{thing['kind']}: {label}: {value}"


DIGEST = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize(
    ("image", "reference", "version"),
    [
        ({"tag": f"0.1.0@{DIGEST}"}, f":0.1.0@{DIGEST}", "0.1.0"),
        ({"tag": "0.1.0+build.7"}, ":0.1.0_build.7", "0.1.0_build.7"),
        ({"tag": f"0.1.0+7@{DIGEST}"}, f":0.1.0_7@{DIGEST}", "0.1.0_7"),
        ({"tag": DIGEST}, f"@{DIGEST}", "0.1.0"),
        ({"tag": f"@{DIGEST}"}, f"@{DIGEST}", "0.1.0"),
        ({"tag": "1.2.3", "digest": DIGEST}, f"@{DIGEST}", "1.2.3"),
        ({"tag": "a" * 100 + "-"}, ":" + "a" * 100 + "-", "a" * 63),
        ({"tag": "b" * 62 + "-tail"}, ":" + "b" * 62 + "-tail", "b" * 62),
        ({}, ":0.1.0", "0.1.0"),
    ],
)
def test_a_tag_determines_image_and_version_label(name, image, reference, version, tmp_path):
    things = render(name, tmp_path, {"image": image})
    assert container(things)["image"] == f"ghcr.io/cloud-exporters/{name}{reference}"
    assert {thing["metadata"]["labels"].get("app.kubernetes.io/version", version) for thing in things} == {version}


def test_a_repository_with_a_host_is_not_prefixed(tmp_path):
    for repository in ["mirror.example.com/promex", "mirror.example.com/spacelift/spacelift-promex", "mirror:5000/a/promex", "localhost/promex"]:
        things = render("spacelift-promex", tmp_path, {"image": {"repository": repository}})
        assert container(things)["image"] == f"{repository}:0.1.0"


def test_values_of_spacelifts_chart_use_our_image():
    source = "helm/spacelift-promex/spacelifts-own-values"
    own = values_of("spacelift-promex", "spacelifts-own-values")
    thing = only(source, "Deployment")
    assert exporter(source)[1]["image"] == "ghcr.io/cloud-exporters/spacelift-promex:0.1.0"
    assert own["labels"].items() <= thing["metadata"]["labels"].items()
    assert own["annotations"].items() <= thing["metadata"]["annotations"].items()
    assert own["podAnnotations"].items() <= thing["spec"]["template"]["metadata"]["annotations"].items()
    assert not own["labels"].items() <= only(source, "Service")["metadata"]["labels"].items()


@pytest.mark.parametrize("repository", ["public.ecr.aws/spacelift/promex", "spacelift/promex", "mirror.example.com/ecr/spacelift/promex", "ghcr.io/spacelift-io/prometheus-exporter"])
def test_no_value_selects_spacelifts_image(repository, tmp_path):
    things = render("spacelift-promex", tmp_path, {"image": {"repository": repository, "tag": "v0.3.1"}})
    assert container(things)["image"] == "ghcr.io/cloud-exporters/spacelift-promex:0.1.0"


# Values of Spacelift's chart with its defaults, as `helm upgrade --reuse-values` uses them.
BEFORE = {
    "replicaCount": 1,
    "image": {"repository": "public.ecr.aws/spacelift/promex", "tag": "v0.3.1", "pullPolicy": "IfNotPresent"},
    "listenAddress": ":9953",
    "labels": {"app.spacelift.io/example": "spacelift-promx"},
    "annotations": {"app.spacelift.io/example": "spacelift-promx"},
    "nodeSelector": {},
    "apiEndpoint": "https://acme.app.spacelift.io",
    "apiKeyId": "01HXXXXXXXXXXXXXXXXXXXXXXX",
    "apiKeySecretName": "existing-api-key",
    "caCert": {"enabled": False, "secretName": "", "secretKey": "ca.crt", "mountPath": "/certs"},
    "extraEnv": [],
    "extraEnvFrom": [],
}


def reusing(name, values, tmp_path, *options):
    """Renders with the values of a release instead of the chart's defaults, like --reuse-values."""
    upgraded = tmp_path / name
    shutil.copytree(chart(name), upgraded)
    (upgraded / "values.yaml").write_text(yaml.safe_dump(values))
    return documents(run("helm", "template", "acme", upgraded, "--namespace", "exporters", *options))


def test_values_of_spacelifts_chart_can_be_reused(tmp_path):
    assert (chart("spacelift-promex") / "files/values.yaml").is_symlink()
    things = reusing("spacelift-promex", BEFORE, tmp_path)
    fresh = render("spacelift-promex", tmp_path, BEFORE | {"existingSecret": ""})
    assert things == fresh
    assert program(container(things)) == "spacelift-promex"
    assert container(things)["image"] == "ghcr.io/cloud-exporters/spacelift-promex:0.1.0"


@pytest.mark.parametrize("name", CHARTS)
def test_values_of_the_previous_release_can_be_reused(name, tmp_path):
    """Keys that this version has added are missing."""
    values = yaml.safe_load((HERE / "before" / f"{name}.yaml").read_text())
    enabled = (f"--set={key}.enabled=true" for key in EVERYTHING)
    things = reusing(name, values, tmp_path, "--values", HERE / "values" / name / "defaults.yaml", *enabled)
    assert {"Deployment", "ServiceMonitor", "PodMonitor", "PrometheusRule"} <= {thing["kind"] for thing in things}


def test_a_map_of_the_configuration_can_be_removed(tmp_path):
    """In Helm, null removes a key."""
    things = render("spot-interruption-exporter", tmp_path, {"config": {"pubsub": None}, "livenessProbe": None})
    (file,) = [thing["data"]["config.yaml"] for thing in things if thing["kind"] == "ConfigMap"]
    assert "pubsub" not in yaml.safe_load(file)
    assert "livenessProbe" not in container(things)


def test_two_aliases_of_one_chart_are_two_jobs():
    subcharts = {alias: "spot-interruption-exporter" for alias in ["spot-a", "spot-b"]}
    more = {"podMonitor": {"enabled": True}, "prometheusRule": {"enabled": True}}
    values = {alias: values_of("spot-interruption-exporter", "defaults") | more for alias in subcharts}
    things = documents(umbrella_template(subcharts, values))
    names = [(thing["kind"], thing["metadata"]["name"]) for thing in things]
    assert len({*names}) == len(names)
    rules = {thing["metadata"]["name"]: str(thing["spec"]) for thing in things if thing["kind"] == "PrometheusRule"}
    assert {name: re.findall('job="([^"]*)"', text)[0] for name, text in rules.items()} == {f"acme-{alias}": alias for alias in subcharts}


@pytest.mark.parametrize("name", CHARTS)
def test_zero_values_are_rendered(name, tmp_path):
    things = render(name, tmp_path, {"revisionHistoryLimit": 0, "replicaCount": 0, "podDisruptionBudget": {"enabled": True, "maxUnavailable": 0}})
    assert deployment(things)["spec"]["revisionHistoryLimit"] == 0
    assert deployment(things)["spec"]["replicas"] == 0
    assert [thing["spec"]["maxUnavailable"] for thing in things if thing["kind"] == "PodDisruptionBudget"] == [0]


@pytest.mark.parametrize("name", CHARTS)
def test_every_object_has_the_common_annotations(name):
    for thing in objects(f"helm/{name}/everything"):
        if thing["metadata"].get("labels"):
            assert thing["metadata"]["annotations"]["example.com/cost-centre"] == "7", thing["kind"]


@pytest.mark.parametrize("name", CHARTS)
def test_equal_timeouts_are_accepted(name, tmp_path):
    """The exporter responds before the scraper's deadline, which each scrape contains."""
    values = {"serviceMonitor": {"enabled": True, "interval": "10s", "scrapeTimeout": "10s"}}
    render(name, tmp_path, values | ({"scrapeTimeout": "10s"} if name == "spacelift-promex" else {}))
    render(name, tmp_path, values | ({"scrapeTimeout": "20s"} if name == "spacelift-promex" else {}))


@pytest.mark.parametrize(
    "values",
    [
        {"extraEnv": [{"name": "SPACELIFT_PROMEX_API_KEY_SECRET", "value": "x"}]},
        {"extraEnv": [{"name": "SPACELIFT_PROMEX_API_KEY_SECRET_FILE", "value": "/vault/secret"}]},
        {"extraEnvFrom": [{"secretRef": {"name": "existing-api-key"}}]},
        {"extraArgs": ["--api-key-secret-file=/vault/secret"]},
        {"extraArgs": ["--config", "/vault/config.yaml"]},
    ],
)
def test_the_secret_can_be_provided_otherwise(values, tmp_path):
    render("spacelift-promex", tmp_path, {"existingSecret": ""} | values)


@pytest.mark.parametrize("source_of_manifest", [f"manifests/{name}" for name in CHARTS])
def test_plain_manifests_have_probes(source_of_manifest):
    _, spec = exporter(source_of_manifest)
    assert spec["livenessProbe"]["httpGet"]["path"] == "/health"
    assert spec["readinessProbe"]["httpGet"]["path"] == "/ready"
