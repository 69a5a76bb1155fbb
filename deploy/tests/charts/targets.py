"""The labels of a release's targets, as the Prometheus Operator creates them from a monitor."""

import re


def relabelled(relabelings, labels):
    """Applies relabelings, for the actions that the chart uses."""
    labels = dict(labels)
    for step in relabelings:
        match step:
            case {"action": "labeldrop", "regex": regex}:
                labels = {key: value for key, value in labels.items() if not re.fullmatch(regex, key)}
            case {"targetLabel": target, "replacement": value} if "sourceLabels" not in step:
                labels[target] = value
    return labels


def target(things, kind, pod):
    """Returns the labels of one pod as the target of a monitor."""
    found = {thing["kind"]: thing for thing in things}
    monitor = found[kind]
    service, template = found["Service"], found["Deployment"]["spec"]["template"]
    carrier, key, endpoints = {
        "ServiceMonitor": (service, "targetLabels", "endpoints"),
        "PodMonitor": (template, "podTargetLabels", "podMetricsEndpoints"),
    }[kind]
    carried = carrier["metadata"]["labels"]
    labels = {
        "namespace": monitor["spec"]["namespaceSelector"]["matchNames"][0],
        "pod": pod,
        "container": template["spec"]["containers"][0]["name"],
        "endpoint": "metrics",
        "instance": f"{pod}.example.com:8090",
        "job": carried[monitor["spec"]["jobLabel"]],
    }
    for label in monitor["spec"][key]:
        labels[re.sub(r"[^a-zA-Z0-9_]", "_", label)] = carried[label]
    (endpoint,) = monitor["spec"][endpoints]
    return relabelled(endpoint.get("relabelings", []), labels)
