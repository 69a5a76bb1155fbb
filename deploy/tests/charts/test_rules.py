"""Rules and dashboards are adapted to the release: its job, its cluster label and its settings of alerts."""

import json
import re

import pytest
import yaml

from charts import CHARTS, DEPLOY, HERE, SOURCES, documents, helm_template, of_kind, only, rule_groups, rules, run, thresholds_of
from pods import exporter
from targets import target

# The prefix of alerts about each exporter itself.
PREFIXES = [*zip(CHARTS, ["SpaceliftPromex", "SpotInterruptionExporter"], strict=True)]


def render(name, tmp_path, values):
    """Renders a release with rules and dashboard; `values` override defaults.yaml."""
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
    """Removes the comments that mark thresholds."""
    return json.loads(re.sub(r"[ \\t]*# threshold [a-z_]+(?=\\n|\")", "", json.dumps(groups)))


@pytest.mark.parametrize("name", CHARTS)
def test_default_rules_equal_the_file(name, tmp_path):
    things = render(name, tmp_path, {"prometheusRule": {"enabled": True}})
    assert groups_of(things) == without_marks(rule_groups(name))
    (dashboard,) = [thing["data"] for thing in things if thing["kind"] == "ConfigMap" and "dashboard" in thing["metadata"]["name"]]
    written = {f"acme-{name}.json": name} | ({f"acme-{name}-runs.json": "spacelift-runs"} if name == "spacelift-promex" else {})
    assert {*dashboard} == {*written}
    for file, source in written.items():
        assert json.loads(dashboard[file]) == json.loads((DEPLOY / "dashboards" / f"{source}.json").read_text())


@pytest.mark.parametrize("name", CHARTS)
def test_the_rules_can_be_processed(name):
    """Threshold comments are in literal blocks, where YAML keeps them; the job has only one notation."""
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


def test_rules_use_the_jobs_of_the_monitors(source):
    for thing in of_kind(source, "PrometheusRule"):
        looked_for = set()
        for rule in (rule for group in thing["spec"]["groups"] for rule in group["rules"]):
            for operator, value in re.findall(r'\bjob(=~?)"([^"]*)"', rule["expr"]):
                looked_for |= {*value.split("|")} if operator == "=~" else {value}
        assert looked_for == (jobs(source) or {exporter(source)[1]["name"]})


def jobs(source):
    """Returns the jobs of the targets, as the operators set them."""
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


PATTERN = r"^prod-(\w+|\d)$1"


def is_number(literal):
    return not literal.startswith('"')


def tunable(name):
    return [rule for rule in rules(name) if "alert" in rule and thresholds_of(rule)]


@pytest.mark.parametrize("name", CHARTS)
def test_thresholds_are_substituted(name, tmp_path):
    """Every threshold can be set by its key."""
    numbers = iter(range(7001, 8000))
    wanted = {
        rule["alert"]: {key: next(numbers) if is_number(old) else PATTERN for key, old in thresholds_of(rule).items()} | {"for": "77m"}
        for rule in tunable(name)
    }
    alerts = alerts_of(render(name, tmp_path, {"prometheusRule": {"enabled": True, "thresholds": wanted}}))
    for rule in tunable(name):
        expected = rule["expr"]
        for key, old in thresholds_of(rule).items():
            literal = str(wanted[rule["alert"]][key]) if is_number(old) else json.dumps(PATTERN)
            expected = re.sub(rf"{re.escape(old)}[ \t]*# threshold {key}$", lambda _: literal, expected, flags=re.MULTILINE)
        assert alerts[rule["alert"]]["expr"] == expected
        assert alerts[rule["alert"]]["for"] == "77m"


@pytest.mark.parametrize("name", CHARTS)
def test_a_plain_number_sets_the_first_threshold(name, tmp_path):
    numeric = {rule["alert"]: rule for rule in tunable(name) if any(map(is_number, thresholds_of(rule).values()))}
    alerts = alerts_of(render(name, tmp_path, {"prometheusRule": {"enabled": True, "thresholds": dict.fromkeys(numeric, 0.125)}}))
    for alert, rule in numeric.items():
        key, old = next((key, old) for key, old in thresholds_of(rule).items() if is_number(old))
        [expected] = without_marks([re.sub(rf"{re.escape(old)}(?=[ \t]*# threshold {key}$)", "0.125", rule["expr"], flags=re.MULTILINE)])
        assert alerts[alert]["expr"] == expected


def test_a_pattern_selects_the_stacks(tmp_path):
    """Regular expressions with quotes, backslashes and dollars are rendered unchanged."""
    failed = {"stack": "prod-.*", "run_type": "TRACKED"}
    inputs = {}
    for stack in ["prod-network", "test-network"]:
        inputs[series("spacelift_stack_last_run_info", failed, {"stack": stack, "final_state": "FAILED"})] = "1x60"
        inputs[series("spacelift_stack_last_run_timestamp_seconds", failed, {"stack": stack})] = "0x60"
    for pattern, stacks in [(None, ["prod-network", "test-network"]), (r"^prod-\w+$", ["prod-network"]), ('say "hi"|$1', [])]:
        thresholds = {"SpaceliftRunFailed": {"stack": pattern}} if pattern else {}
        things = render("spacelift-promex", tmp_path, {"prometheusRule": {"enabled": True, "thresholds": thresholds}})
        firing = 'count by (stack) (ALERTS{alertname="SpaceliftRunFailed", alertstate="firing"})'
        check_by_prometheus(groups_of(things), inputs, [(firing, [f'{{stack="{stack}"}}' for stack in stacks])], tmp_path)


@pytest.mark.parametrize("name", CHARTS)
@pytest.mark.parametrize("form", [list, lambda names: dict.fromkeys(names, True)])
def test_alerts_can_be_disabled(name, form, tmp_path):
    written = [rule["alert"] for rule in rules(name) if "alert" in rule]
    off = written[::2]
    things = render(name, tmp_path, {"prometheusRule": {"enabled": True, "disabled": form(off)}})
    assert {*alerts_of(things)} == {*written} - {*off}
    assert all(group["rules"] for group in groups_of(things))
    recorded = [rule["record"] for group in groups_of(things) for rule in group["rules"] if "record" in rule]
    assert recorded == [rule["record"] for rule in rules(name) if "record" in rule]


@pytest.mark.parametrize("name", CHARTS)
def test_alerts_can_have_additional_labels(name, tmp_path):
    things = render(name, tmp_path, {"prometheusRule": {"enabled": True, "additionalRuleLabels": {"team": "platform"}}})
    for group in groups_of(things):
        for rule in group["rules"]:
            assert rule.get("labels", {}).get("team") == ("platform" if "alert" in rule else None)


def test_prometheus_accepts_the_rules(source, tmp_path):
    for thing in of_kind(source, "PrometheusRule"):
        file = tmp_path / "rules.yaml"
        file.write_text(yaml.safe_dump(thing["spec"]))
        run("promtool", "check", "rules", file)


def series(metric, *labels):
    together = {key: value for some in labels for key, value in some.items()}
    return metric + "{" + ", ".join(f'{key}="{value}"' for key, value in together.items()) + "}"


def check_by_prometheus(groups, inputs, expected, tmp_path):
    """Evaluates the rules every minute with these input series, and compares the results of expressions: [(expr, labels)]."""
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": groups}))
    asked = [
        {"expr": f"({expr}) * 0", "eval_time": "60m", "exp_samples": [{"labels": labels, "value": 0} for labels in found]}
        for expr, found in expected
    ]
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in inputs.items()],
        "promql_expr_test": asked,
    }
    files = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "group_eval_order": [group["name"] for group in groups]}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(files | {"tests": [test]}))
    run("promtool", "test", "rules", tmp_path / "tests.yaml")


@pytest.mark.parametrize(("name", "prefix"), PREFIXES)
@pytest.mark.parametrize("present", [True, False])
def test_the_absent_alert_uses_the_job_of_a_renamed_release(name, prefix, present, tmp_path):
    things = render(name, tmp_path, {"nameOverride": "renamed", "prometheusRule": {"enabled": True}})
    inputs = {series("up", {"job": "renamed" if present else name, "instance": "a"}): "1x60"}
    absent = f'count(ALERTS{{alertname="{prefix}Absent", alertstate="firing"}})'
    check_by_prometheus(groups_of(things), inputs, [(absent, [] if present else ["{}"])], tmp_path)


def test_another_cluster_label_works(tmp_path):
    """Recorded series and alerts have the configured cluster label."""
    values = {"config": {"prometheus": {"cluster_label": "cluster"}}, "prometheusRule": {"enabled": True}}
    things = render("spot-interruption-exporter", tmp_path, values)
    labels = {"job": "spot-interruption-exporter", "instance": "i"}
    of_cluster = labels | {"cluster": "prod", "cluster_location": "europe-west1", "project": "p", "node_pool": "a", "machine_type": "m", "zone": "z"}
    inputs = {
        series("spot_instances", of_cluster): "12x60",
        series("spot_interruptions_total", of_cluster, {"reason": "preempted"}): "0x54 10x10",
        series("spot_interruption_delivery_seconds_bucket", labels, {"le": "5.0"}): "0x54 10x10",
        series("spot_interruption_delivery_seconds_bucket", labels, {"le": "+Inf"}): "0x54 10x10",
    }
    lost = 'count by (cluster) (ALERTS{alertname=~"SpotInterruption.*NodesLost", alertstate="firing"})'
    check_by_prometheus(groups_of(things), inputs, [(lost, ['{cluster="prod"}'])], tmp_path)


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
@pytest.mark.parametrize(("name", "prefix"), PREFIXES)
def test_of_two_releases_only_the_one_that_is_down_is_reported(name, prefix, kind, tmp_path):
    """Uses the labels of the charts' monitors."""
    key = kind[0].lower() + kind[1:]
    releases = {}
    for release in ["one", "two"]:
        values = tmp_path / f"{release}.yaml"
        values.write_text(yaml.safe_dump({"prometheusRule": {"enabled": True}, key: {"enabled": True}}))
        defaults = HERE / "values" / name / "defaults.yaml"
        releases[release] = documents(helm_template(name, "--values", defaults, "--values", values, release=release))
    inputs = {
        series("up", target(things, kind, f"{release}-pod")): f"{int(release == 'one')}x60"
        for release, things in releases.items()
    }
    alerts = f'count by (alertname, app_kubernetes_io_instance) (ALERTS{{alertname=~"{prefix}(Down|NotAlone|Absent)", alertstate="firing"}})'
    down = f'{{alertname="{prefix}Down", app_kubernetes_io_instance="two"}}'
    check_by_prometheus(groups_of(releases["one"]), inputs, [(alerts, [down])], tmp_path)


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
def test_counts_between_two_pods_are_included(kind, tmp_path):
    """The second pod counts eight interruptions before its first scrape, in the series of the chart's monitors."""
    key = kind[0].lower() + kind[1:]
    values = {"persistence": {"enabled": True}, "prometheusRule": {"enabled": True}, key: {"enabled": True}}
    things = render("spot-interruption-exporter", tmp_path, values)
    own = {"kubernetes_cluster": "prod", "node_pool": "a", "machine_type": "m", "zone": "z", "reason": "preempted"}
    before, after = (series("spot_interruptions_total", own, target(things, kind, pod)) for pod in ["pod-a", "pod-b"])
    inputs = {before: "100x20 stale _x1 108x40"} if before == after else {before: "100x20 stale", after: "_x22 108x40"}
    seen = "count((cluster:spot_interruptions:increase1h > 7.9) < 8.5)"
    check_by_prometheus(groups_of(things), inputs, [(seen, ["{}"])], tmp_path)


def test_dashboards_are_valid():
    for source in SOURCES:
        for thing in of_kind(source, "ConfigMap"):
            for file, text in thing.get("data", {}).items():
                if file.endswith(".json"):
                    assert json.loads(text)["panels"], source
