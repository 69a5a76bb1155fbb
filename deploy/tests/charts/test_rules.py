"""Rules and dashboards follow the release: its job, its cluster label, and what its values say about alerts."""

import json
import re

import pytest
import yaml

from charts import CHARTS, DEPLOY, HERE, SOURCES, helm_template, of_kind, only, rule_groups, rules, run, thresholds_of
from pods import exporter


def render(name, tmp_path, values):
    """The release with its rules and its dashboard, on top of defaults.yaml."""
    more = tmp_path / "values.yaml"
    more.write_text(yaml.safe_dump({"dashboards": {"enabled": True}} | values))
    options = ["--values", HERE / "values" / name / "defaults.yaml", "--values", more]
    return list(yaml.safe_load_all(helm_template(name, *options)))


def groups_of(things):
    (rule,) = [thing for thing in things if thing["kind"] == "PrometheusRule"]
    return rule["spec"]["groups"]


def alerts_of(things):
    return {rule["alert"]: rule for group in groups_of(things) for rule in group["rules"] if "alert" in rule}


def without_marks(groups):
    """The rules without the comments that say where thresholds are."""
    return json.loads(re.sub(r"[ \\t]*# threshold [a-z_]+(?=\\n|\")", "", json.dumps(groups)))


@pytest.mark.parametrize("name", CHARTS)
def test_by_default_the_rules_are_the_written_ones(name, tmp_path):
    things = render(name, tmp_path, {"prometheusRule": {"enabled": True}})
    assert groups_of(things) == without_marks(rule_groups(name))
    (dashboard,) = [thing["data"] for thing in things if thing["kind"] == "ConfigMap" and "dashboard" in thing["metadata"]["name"]]
    assert [*dashboard] == [f"acme-{name}.json"]
    written = json.loads((DEPLOY / "dashboards" / f"{name}.json").read_text())
    assert json.loads(dashboard[f"acme-{name}.json"]) == written


@pytest.mark.parametrize("name", CHARTS)
def test_the_rules_can_be_substituted(name):
    """Marks are in literal blocks, where YAML does not take them for comments; the job is in one form only."""
    text = (DEPLOY / "rules" / f"{name}.yaml").read_text()
    for rule in rules(name):
        keys = re.findall(r"# threshold\b *(.*)", rule["expr"])
        assert keys == [*thresholds_of(rule)], rule
        assert not keys or "alert" in rule
    marks = [line for line in text.splitlines() if re.search(r"# threshold\b", line) and not line.startswith("#")]
    assert len(marks) == sum(len(thresholds_of(rule)) for rule in rules(name))
    alerts = [rule["alert"] for rule in rules(name) if "alert" in rule]
    for expr in [rule["expr"] for rule in rules(name)]:
        assert {*re.findall(r"\bjob\s*(?:=~|!=|!~|=)\s*\"[^\"]*\"", expr)} <= {f'job="{name}"'}
    assert alerts


def test_rules_look_for_the_jobs_that_the_monitors_make(source):
    for thing in of_kind(source, "PrometheusRule"):
        looked_for = set()
        for rule in (rule for group in thing["spec"]["groups"] for rule in group["rules"]):
            for operator, value in re.findall(r'\bjob(=~?)"([^"]*)"', rule["expr"]):
                looked_for |= {*value.split("|")} if operator == "=~" else {value}
        assert looked_for == (jobs(source) or {exporter(source)[1]["name"]})


def jobs(source):
    """The jobs of the targets, as the operators name them."""
    labels = {
        "ServiceMonitor": only(source, "Service")["metadata"]["labels"],
        "PodMonitor": exporter(source)[0]["metadata"]["labels"],
    }
    made = {carried[monitor["spec"]["jobLabel"]] for kind, carried in labels.items() for monitor in of_kind(source, kind)}
    return made | {monitor["metadata"]["name"] for monitor in of_kind(source, "PodMonitoring")}


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize(
    ("values", "job"),
    [
        ({}, None),
        ({"nameOverride": "renamed"}, 'job="renamed"'),
        ({"serviceMonitor": {"enabled": True, "jobLabel": "app.kubernetes.io/instance"}}, 'job="acme"'),
        ({"serviceMonitor": {"enabled": True, "jobLabel": ""}}, 'job="acme-NAME"'),
        ({"serviceMonitor": {"enabled": True, "jobLabel": "team"}, "service": {"labels": {"team": "infra.eu"}}}, 'job="infra.eu"'),
        ({"podMonitor": {"enabled": True, "jobLabel": "missing"}}, 'job="exporters/acme-NAME"'),
        ({"podMonitor": {"enabled": True}, "serviceMonitor": {"enabled": True, "jobLabel": "team"}, "service": {"labels": {"team": "a.b"}}}, r'job=~"a\\.b|NAME"'),
        ({"prometheusRule": {"enabled": True, "job": "by-annotation"}}, 'job="by-annotation"'),
    ],
)  # fmt: skip
def test_the_job_is_substituted(name, values, job, tmp_path):
    things = render(name, tmp_path, {"prometheusRule": {"enabled": True}} | values)
    expressions = [rule["expr"] for rule in alerts_of(things).values()]
    expected = (job or 'job="NAME"').replace("NAME", name)
    assert any(expected in expr for expr in expressions)
    assert {found for expr in expressions for found in re.findall(r'\bjob=~?"[^"]*"', expr)} == {expected}


def test_the_cluster_label_is_substituted(tmp_path):
    values = {"config": {"prometheus": {"cluster_label": "cluster"}}, "prometheusRule": {"enabled": True}}
    things = render("spot-interruption-exporter", tmp_path, values)
    text = json.dumps([groups_of(things), *(thing["data"] for thing in things if thing["kind"] == "ConfigMap")])
    assert "kubernetes_cluster" not in text
    assert "{{ $labels.cluster }}" in text
    written = (DEPLOY / "rules/spot-interruption-exporter.yaml").read_text()
    changed = yaml.safe_load(written.replace("kubernetes_cluster", "cluster"))["groups"]
    assert groups_of(things) == without_marks(changed)


def tunable(name):
    return [rule for rule in rules(name) if "alert" in rule and thresholds_of(rule)]


@pytest.mark.parametrize("name", CHARTS)
def test_thresholds_are_substituted(name, tmp_path):
    """Every one of them, by its key."""
    numbers = iter(range(7001, 8000))
    wanted = {rule["alert"]: {key: next(numbers) for key in thresholds_of(rule)} | {"for": "77m"} for rule in tunable(name)}
    alerts = alerts_of(render(name, tmp_path, {"prometheusRule": {"enabled": True, "thresholds": wanted}}))
    for rule in tunable(name):
        expected = rule["expr"]
        for key, old in thresholds_of(rule).items():
            expected = re.sub(rf"{re.escape(old)}[ \t]*# threshold {key}$", str(wanted[rule["alert"]][key]), expected, flags=re.MULTILINE)
        assert alerts[rule["alert"]]["expr"] == expected
        assert alerts[rule["alert"]]["for"] == "77m"


@pytest.mark.parametrize("name", CHARTS)
def test_a_number_alone_is_the_first_threshold(name, tmp_path):
    wanted = {rule["alert"]: 0.125 for rule in tunable(name)}
    alerts = alerts_of(render(name, tmp_path, {"prometheusRule": {"enabled": True, "thresholds": wanted}}))
    for rule in tunable(name):
        (_, old), *_ = thresholds_of(rule).items()
        assert alerts[rule["alert"]]["expr"].count("0.125") == rule["expr"].count("0.125") + 1, old


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize("form", [list, lambda names: dict.fromkeys(names, True)])
def test_alerts_can_be_left_out(name, form, tmp_path):
    written = [rule["alert"] for rule in rules(name) if "alert" in rule]
    off = written[::2]
    things = render(name, tmp_path, {"prometheusRule": {"enabled": True, "disabled": form(off)}})
    assert {*alerts_of(things)} == {*written} - {*off}
    assert all(group["rules"] for group in groups_of(things))
    recorded = [rule["record"] for group in groups_of(things) for rule in group["rules"] if "record" in rule]
    assert recorded == [rule["record"] for rule in rules(name) if "record" in rule]


@pytest.mark.parametrize("name", CHARTS)
def test_alerts_can_carry_more_labels(name, tmp_path):
    things = render(name, tmp_path, {"prometheusRule": {"enabled": True, "additionalRuleLabels": {"team": "platform"}}})
    for group in groups_of(things):
        for rule in group["rules"]:
            assert rule.get("labels", {}).get("team") == ("platform" if "alert" in rule else None)


def test_prometheus_takes_the_rules(source, tmp_path):
    for thing in of_kind(source, "PrometheusRule"):
        file = tmp_path / "rules.yaml"
        file.write_text(yaml.safe_dump(thing["spec"]))
        run("promtool", "check", "rules", file)


@pytest.mark.parametrize(("name", "alert"), [*zip(CHARTS, ["SpaceliftPromexAbsent", "SpotInterruptionExporterAbsent"], strict=True)])
def test_a_renamed_exporter_is_not_absent(name, alert, tmp_path):
    """By Prometheus itself: the rules of a renamed release, with its target there and without it."""
    things = render(name, tmp_path, {"nameOverride": "renamed", "prometheusRule": {"enabled": True}})
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups_of(things)}))
    expr = f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})'
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": f'up{{job="{job}", instance="a"}}', "values": "1x60"}],
            "promql_expr_test": [{"expr": expr, "eval_time": "60m", "exp_samples": [{"labels": "{}", "value": 1}] * firing}],
        }
        for job, firing in [("renamed", 0), (name, 1)]
    ]
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": tests}))
    run("promtool", "test", "rules", tmp_path / "tests.yaml")


def test_a_cluster_lives_on_under_another_label(tmp_path):
    """By Prometheus itself: what is recorded by cluster carries the label that the configuration names."""
    values = {"config": {"prometheus": {"cluster_label": "cluster"}}, "prometheusRule": {"enabled": True}}
    things = render("spot-interruption-exporter", tmp_path, values)
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups_of(things)}))
    labels = 'cluster="prod", cluster_location="europe-west1", project="p", job="spot-interruption-exporter"'
    series = {
        "spot_instances": ("12x30", 'node_pool="a", machine_type="m", zone="z"'),
        "spot_interruptions_total": ("0x9 10x20", 'node_pool="a", machine_type="m", zone="z", reason="preempted"'),
        "spot_interruption_delivery_seconds_bucket": ("0x9 10x20", 'le="5.0"'),
    }
    inputs = [
        {"series": f'{metric}{{{labels}, {more}, instance="i"}}', "values": values} for metric, (values, more) in series.items()
    ]
    # Delivery is not by cluster.
    inputs[-1]["series"] = 'spot_interruption_delivery_seconds_bucket{le="5.0", job="spot-interruption-exporter", instance="i"}'
    inputs.append(inputs[-1] | {"series": inputs[-1]["series"].replace("5.0", "+Inf")})
    expr = 'count by (cluster) (ALERTS{alertname=~"SpotInterruption.*Lost.*", alertstate="firing"}) > 0'
    test = {
        "interval": "1m",
        "input_series": inputs,
        "promql_expr_test": [{"expr": f"({expr}) * 0", "eval_time": "14m", "exp_samples": [{"labels": '{cluster="prod"}', "value": 0}]}],
    }
    order = [group["name"] for group in groups_of(things)]
    (tmp_path / "tests.yaml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "group_eval_order": order, "tests": [test]})
    )
    run("promtool", "test", "rules", tmp_path / "tests.yaml")


def test_dashboards_stay_dashboards():
    for source in SOURCES:
        for thing in of_kind(source, "ConfigMap"):
            for file, text in thing.get("data", {}).items():
                if file.endswith(".json"):
                    assert json.loads(text)["panels"], source
