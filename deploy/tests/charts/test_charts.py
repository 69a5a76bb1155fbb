"""The charts as packages: linting, rejected values and notes."""

import os
import re
import shlex
import tarfile
import tomllib
import urllib.parse

import pytest
import yaml

from charts import CHARTS, DEPLOY, HERE, chart, documents, helm_template, run, umbrella_template, values_files, values_of
from pods import exporter

REFUSALS = yaml.safe_load((HERE / "refusals.yaml").read_text())


@pytest.mark.parametrize("name", CHARTS)
def test_versions_agree(name):
    """Versions of the chart, the library, the program, and the images in plain manifests and overlays."""
    workspace = tomllib.loads((DEPLOY.parent / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    own, library = (yaml.safe_load((chart(which) / "Chart.yaml").read_text()) for which in [name, "exporter-common"])
    (dependency,) = own["dependencies"]
    assert {own["version"], own["appVersion"], library["version"], dependency["version"]} == {workspace}
    for source in [f"manifests/{name}", f"kustomize/{name}/example-overlay"]:
        assert exporter(source)[1]["image"] == f"ghcr.io/cloud-exporters/{name}:{workspace}"


@pytest.mark.parametrize(("name", "values"), [(name, values) for name in CHARTS for values in values_files(name)])
def test_lint(name, values):
    run("helm", "lint", "--strict", chart(name), "--values", values)


@pytest.mark.parametrize(("name", "case"), [(name, case) for name in CHARTS for case in REFUSALS[name]])
def test_refusal(name, case, tmp_path):
    refusal = REFUSALS[name][case]
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(refusal["values"]))
    with pytest.raises(RuntimeError) as caught:
        helm_template(name, "--values", HERE / "values" / name / "defaults.yaml", "--values", values)
    assert refusal["says"] in str(caught.value)


@pytest.mark.parametrize("name", CHARTS)
def test_the_package_is_self_contained(name, tmp_path):
    """The package of a release contains the library and the targets of the links in files/, each once."""
    recipe = (DEPLOY.parent / "justfile").read_text()
    (line,) = re.findall(r"^    (helm package [^>\n]*)", recipe, re.MULTILINE)
    version = yaml.safe_load((chart(name) / "Chart.yaml").read_text())["version"]
    for key, value in {"chart": name, "version": version}.items():
        line = line.replace(f"{{{{{key}}}}}", value)
    command = shlex.split(line.replace("deploy/helm", str(DEPLOY / "helm")).replace("target/charts", str(tmp_path)))
    run(*command)
    (package,) = tmp_path.iterdir()
    with tarfile.open(package) as archive:
        names = archive.getnames()
        assert all(member.isfile() for member in archive)
    assert len({*names}) == len(names)
    libraries = [path for path in names if path.endswith((".tgz", "exporter-common/Chart.yaml"))]
    assert libraries == [f"{name}/charts/exporter-common/Chart.yaml"]
    assert {f"{name}/files/{file}" for file in ["dashboard.json", "rules.yaml", "values.yaml", *(["runs.json"] if name == "spacelift-promex" else [])]} <= {*names}
    values = HERE / "values" / name / "everything.yaml"
    packaged = run("helm", "template", "acme", package, "--namespace", "exporters", "--values", values)
    assert documents(packaged) == documents(helm_template(name, "--values", values))


@pytest.mark.parametrize(("name", "values"), [(name, values) for name in CHARTS for values in values_files(name)])
def test_helm_3_renders_the_same(name, values, tmp_path):
    """Helm 3 renders the directory, which contains links, and the package."""
    helm = os.environ["CHARTS_HELM_3"]
    assert run(helm, "version", "--short").startswith("v3.")
    rendered = documents(helm_template(name, "--values", values))
    run(helm, "package", chart(name), "--destination", tmp_path)
    for what in [chart(name), *tmp_path.iterdir()]:
        assert documents(run(helm, "template", "acme", what, "--namespace", "exporters", "--values", values)) == rendered


@pytest.mark.parametrize("name", CHARTS)
def test_the_chart_has_metadata(name):
    """The metadata that Artifact Hub shows. The icon is a file of this repository."""
    about = yaml.safe_load((chart(name) / "Chart.yaml").read_text())
    assert all({"name", "url"} <= {*maintainer} for maintainer in about["maintainers"]) and about["maintainers"]
    path = urllib.parse.urlparse(about["icon"]).path.partition("/main/")[2]
    icon = DEPLOY.parent / path
    assert icon.read_text().startswith("<svg")
    annotations = about["annotations"]
    assert {"artifacthub.io/license", "artifacthub.io/links", "artifacthub.io/images", "artifacthub.io/category"} <= {*annotations}
    assert all(link["url"].startswith(about["home"]) for link in yaml.safe_load(annotations["artifacthub.io/links"]))
    (image,) = yaml.safe_load(annotations["artifacthub.io/images"])
    assert image["image"] == f"ghcr.io/cloud-exporters/{name}:{about['appVersion']}"
    assert "\n## Upgrading\n" in (chart(name) / "README.md").read_text()


def test_both_charts_work_as_subcharts():
    """Both are subcharts of one chart, one with an alias, and use its global values."""
    aliases = dict(zip(CHARTS[:1] + ["spot"], CHARTS, strict=True))
    values = {alias: values_of(name, "defaults") for alias, name in aliases.items()}
    values["global"] = {"imageRegistry": "mirror.example.com", "imagePullSecrets": ["mirror", {"name": "other"}]}
    things = documents(umbrella_template(aliases, values))
    assert len({(thing["kind"], thing["metadata"]["name"]) for thing in things}) == len(things)
    images = {
        thing["spec"]["template"]["spec"]["containers"][0]["image"] for thing in things if thing["kind"] == "Deployment"
    }
    assert {image.partition("/")[0] for image in images} == {"mirror.example.com"}
    for thing in things:
        if thing["kind"] in ("Deployment", "Pod"):
            spec = thing["spec"].get("template", thing)["spec"]
            assert spec["imagePullSecrets"] == [{"name": "mirror"}, {"name": "other"}]


def test_an_umbrella_can_disable_a_subchart():
    """The condition is a value of the subchart."""
    values = {name: values_of(name, "defaults") | {"enabled": name == CHARTS[0]} for name in CHARTS}
    things = documents(umbrella_template({name: name for name in CHARTS}, values))
    assert [thing["metadata"]["name"] for thing in things if thing["kind"] == "Deployment"] == [f"acme-{CHARTS[0]}"]


@pytest.mark.parametrize("monitor", ["serviceMonitor", "podMonitor", "podMonitoring"])
def test_notes_warn_about_an_untrusted_certificate(monitor):
    name = "spot-interruption-exporter"
    values = ["--values", HERE / "values" / name / "defaults.yaml", "--set", "webConfig.tlsSecretName=tls"]
    command = ["helm", "install", "acme", chart(name), "--dry-run=client", *values, "--set", f"{monitor}.enabled=true"]
    notes = run(*command).partition("NOTES:")[2]
    assert re.findall(r"(\w+)\.tls(?:Config)? is empty", notes) == [monitor]


@pytest.mark.parametrize(
    ("gcp", "said"),
    [
        ({}, "It lists the instances of project example-project."),
        ({"projects": ["example-project"]}, "It lists the instances of project example-project."),
        ({"projects": ["a-shop", "a-search"]}, "It lists the instances of projects example-project, a-shop, a-search."),
        ({"projects": list("abcdefg")}, "It lists the instances of 8 projects, example-project among them."),
        ({"discover": "folders/1"}, "of project example-project, and of every project below folders/1."),
        (
            {"projects": ["a-shop"], "discover": ["folders/1", "organizations/2"], "discover_query": "labels.env:prod"},
            'of projects example-project, a-shop, and of every project below folders/1, organizations/2 that matches "labels.env:prod".',
        ),
    ],
)
def test_notes_contain_the_listed_projects(gcp, said, tmp_path):
    name = "spot-interruption-exporter"
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump({"config": {"project_name": "example-project", "gcp": gcp}}))
    notes = run("helm", "install", "acme", chart(name), "--dry-run=client", "--values", values).partition("NOTES:")[2]
    assert said in notes
    assert ("as soon as one of them is listed" in notes) == bool(gcp)


def configuration(*options):
    """Returns the configuration file of a release."""
    things = documents(helm_template("spot-interruption-exporter", *options))
    (text,) = [thing["data"]["config.yaml"] for thing in things if "config.yaml" in thing.get("data", {})]
    return yaml.safe_load(text)


def test_without_pubsub_the_configuration_has_no_subscriptions():
    config = configuration("--values", HERE / "values/spot-interruption-exporter/without-pubsub.yaml")
    assert "pubsub" not in config and config["project_name"] == "example-project"


def test_without_pubsub_in_an_umbrella():
    values = {"config": {"project_name": "example-project", "pubsub": None}}
    things = documents(umbrella_template({"spot": "spot-interruption-exporter"}, {"spot": values}))
    (text,) = [thing["data"]["config.yaml"] for thing in things if "config.yaml" in thing.get("data", {})]
    assert "pubsub" not in yaml.safe_load(text)


def test_operations_off_is_rendered_as_a_string():
    config = configuration("--values", HERE / "values/spot-interruption-exporter/operations-off.yaml")
    assert config["compute"] == {"operations": "off"}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({}, "from two Pub/Sub subscriptions, and every 5m asks Compute Engine"),
        ({"compute": {"operations": "off"}}, "from two Pub/Sub subscriptions. If a log sink is broken, nothing tells"),
        ({"compute": {"operations": "source"}}, "from two Pub/Sub subscriptions and, every 30s, from Compute Engine's operations."),
        ({"pubsub": None}, "from Compute Engine's operations, every 30s."),
        ({"pubsub": None, "compute": {"operations": "source"}}, "from Compute Engine's operations, every 30s."),
        ({"pubsub": None, "compute": {"operations_interval": "1m"}}, "from Compute Engine's operations, every 1m."),
    ],
)
def test_notes_contain_the_source_of_interruptions(config, said, tmp_path):
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump({"config": {"project_name": "example-project"} | config}))
    command = ["helm", "install", "acme", chart("spot-interruption-exporter"), "--dry-run=client", "--values", values]
    notes = run(*command).partition("NOTES:")[2]
    assert said in notes
    assert ("subscriptions are open" in notes) == ("pubsub" not in config)


def notes_of(*options):
    command = ["helm", "install", "acme", chart("spot-interruption-exporter"), "--dry-run=client", *options]
    return run(*command).partition("NOTES:")[2]


AWS_VALUES = HERE / "values/spot-interruption-exporter/terraform-of-aws.yaml"
BOTH_VALUES = HERE / "values/spot-interruption-exporter/both-clouds.yaml"
PROJECT = ["--set", "config.project_name=example-project"]


def test_without_a_project_the_configuration_is_that_of_aws():
    config = configuration("--values", AWS_VALUES)
    assert {*config} == {"aws", "log_level", "prometheus"}
    assert config["aws"] == {"queue_urls": ["https://sqs.eu-central-1.amazonaws.com/123456789012/sie-interruption-queue"]}


def test_without_a_project_in_an_umbrella():
    values = yaml.safe_load(AWS_VALUES.read_text())
    things = documents(umbrella_template({"spot": "spot-interruption-exporter"}, {"spot": values}))
    (text,) = [thing["data"]["config.yaml"] for thing in things if "config.yaml" in thing.get("data", {})]
    assert {*yaml.safe_load(text)} == {"aws", "log_level", "prometheus"}


def test_both_clouds_are_configured():
    config = configuration("--values", BOTH_VALUES)
    assert {"project_name", "pubsub", "aws"} <= {*config}


def test_values_of_both_terraform_modules_can_be_combined():
    google = HERE / "values/spot-interruption-exporter/terraform.yaml"
    things = documents(helm_template("spot-interruption-exporter", "--values", google, "--values", AWS_VALUES))
    (account,) = [thing for thing in things if thing["kind"] == "ServiceAccount"]
    assert {*account["metadata"]["annotations"]} == {"iam.gke.io/gcp-service-account", "eks.amazonaws.com/role-arn"}
    config = configuration("--values", google, "--values", AWS_VALUES)
    assert config["project_name"] == "example-project" and "pubsub" in config and "aws" in config


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "messages can be received from the queues and the instances are listed."),
        (PROJECT, "both subscriptions are open, messages can be received from the queues and the instances are listed."),
        ([*PROJECT, "--set", "config.pubsub=null"], "messages can be received from the queues and instances and operations are listed."),
    ],
)
def test_notes_contain_the_conditions_of_both_clouds(options, said):
    assert f"until the exporter is ready: {said}" in notes_of("--values", AWS_VALUES, *options)


@pytest.mark.parametrize(
    ("aws", "said"),
    [
        ({}, ["warnings from the SQS queue https://sqs.eu-central-1.amazonaws.com/123456789012/q.", "Every 5m it lists the spot instances of region eu-central-1 to count"]),
        ({"regions": ["us-east-1", "eu-west-1"]}, ["instances of regions eu-west-1, us-east-1 to count"]),
        ({"role_arns": ["arn:aws:iam::210987654321:role/r"]}, ["of region eu-central-1, also in 1 further account, to count"]),
        ({"resync_interval": "10m"}, ["Every 10m it lists"]),
        (
            {"queue_urls": [f"https://sqs.{region}.amazonaws.com/123456789012/q" for region in ["us-east-1", "eu-west-1", "eu-central-1", "eu-north-1"]]},
            ["warnings from 4 SQS queues.", "of regions eu-central-1, eu-north-1, eu-west-1, us-east-1 to count"],
        ),
    ],
)
def test_notes_contain_the_queues_and_regions(aws, said, tmp_path):
    queue = {"queue_urls": ["https://sqs.eu-central-1.amazonaws.com/123456789012/q"]}
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump({"config": {"aws": queue | aws}}))
    notes = notes_of("--values", values)
    for expected in [*said, "with the queue of Karpenter", "would share the queues"]:
        assert expected in notes
    assert "Pub/Sub" not in notes and "GKE" not in notes and "project" not in notes


def test_notes_mention_only_the_clouds_that_are_used():
    google = notes_of(*PROJECT)
    assert "On GKE" in google and "EKS" not in google and "SQS" not in google
    both = notes_of(*PROJECT, "--set", "config.aws.queue_urls={https://sqs.eu-central-1.amazonaws.com/123456789012/q}")
    assert "On GKE" in both and "On EKS" in both and "would share the subscriptions and queues" in both


@pytest.mark.parametrize("values", ["terraform-of-aws", "aws-keys", "both-clouds"])
def test_notes_do_not_ask_for_given_credentials(values):
    notes = notes_of("--values", HERE / f"values/spot-interruption-exporter/{values}.yaml")
    assert "On EKS" not in notes and "On GKE" not in notes


def test_notes_name_the_service_account_for_pod_identity():
    notes = notes_of("--values", HERE / "values/spot-interruption-exporter/terraform-of-aws-accounts.yaml")
    assert "service account spot-interruption-exporter/spot-interruption-exporter-sa needs a role" in notes


def test_an_empty_list_is_not_in_the_configuration_file():
    """Without further projects the key is omitted, so older versions of the image accept the file."""
    for name in ["defaults", "terraform"]:
        rendered = helm_template("spot-interruption-exporter", "--values", HERE / f"values/spot-interruption-exporter/{name}.yaml")
        assert "gcp:" not in rendered and "aws:" not in rendered


@pytest.mark.parametrize("name", CHARTS)
def test_notes_contain_the_next_steps(name):
    command = ["helm", "install", "acme", chart(name), "--dry-run=client", "--namespace", "exporters"]
    notes = run(*command, "--values", HERE / "values" / name / "everything.yaml").partition("NOTES:")[2]
    for expected in ["rollout status deployment/", "port-forward service/", "curl", "release: <its release>"]:
        assert expected in notes
    commands = re.findall(r"^ +(?:kubectl|helm) .*$", notes, re.MULTILINE)
    assert {"kubectl", "helm"} == {command.split()[0] for command in commands}
    assert all("--namespace exporters" in command for command in commands), commands
