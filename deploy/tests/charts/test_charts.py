"""The charts as packages: they lint, they refuse what is wrong, and they say what to do next."""

import tomllib

import pytest
import yaml

from charts import CHARTS, DEPLOY, HERE, chart, documents, helm_template, run, values_files
from pods import exporter

REFUSALS = yaml.safe_load((HERE / "refusals.yaml").read_text())


@pytest.mark.parametrize("name", CHARTS)
def test_versions_agree(name):
    """Of the chart, the library, the program, and the images that plain manifests and overlays name."""
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
def test_the_package_needs_nothing_around_it(name, tmp_path):
    run("helm", "package", chart(name), "--destination", tmp_path)
    (package,) = tmp_path.iterdir()
    values = HERE / "values" / name / "everything.yaml"
    packaged = run("helm", "template", "acme", package, "--namespace", "exporters", "--values", values)
    assert documents(packaged) == documents(helm_template(name, "--values", values))


def test_both_fit_under_one_umbrella(tmp_path):
    """As subcharts of another chart, one under an alias, with what that chart says for all."""
    umbrella = {"apiVersion": "v2", "name": "umbrella", "version": "1.0.0"}
    aliases = dict(zip(CHARTS, CHARTS[:1] + ["spot"], strict=True))
    umbrella["dependencies"] = [{"name": name, "version": "*", "alias": alias} for name, alias in aliases.items()]
    (tmp_path / "Chart.yaml").write_text(yaml.safe_dump(umbrella))
    (tmp_path / "charts").mkdir()
    values = {"global": {"imageRegistry": "mirror.example.com"}}
    for name, alias in aliases.items():
        (tmp_path / "charts" / name).symlink_to(chart(name))
        values[alias] = yaml.safe_load((HERE / "values" / name / "defaults.yaml").read_text())
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    things = documents(run("helm", "template", "acme", tmp_path))
    assert len({(thing["kind"], thing["metadata"]["name"]) for thing in things}) == len(things)
    images = {
        thing["spec"]["template"]["spec"]["containers"][0]["image"] for thing in things if thing["kind"] == "Deployment"
    }
    assert {image.partition("/")[0] for image in images} == {"mirror.example.com"}


@pytest.mark.parametrize("name", CHARTS)
def test_notes_say_what_to_do_next(name):
    command = ["helm", "install", "acme", chart(name), "--dry-run=client", "--namespace", "exporters"]
    notes = run(*command, "--values", HERE / "values" / name / "everything.yaml").partition("NOTES:")[2]
    for expected in ["rollout status deployment/", "port-forward service/", "curl", "release: <its release>"]:
        assert expected in notes
