"""The pods of a render, with the environment, files and arguments that kubelet would provide."""

import base64
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from charts import objects, of_kind, only


def program(container):
    """Returns the exporter of an image. The names of containers contain the release."""
    return re.sub(r"(:[^:/]*)?(@.*)?$", "", container["image"]).rpartition("/")[2]


# The CMD of the images.
DEFAULT_ARGUMENTS = {"spacelift-promex": ["serve"], "spot-interruption-exporter": []}


def pods(source):
    """Returns metadata and spec of each pod."""
    templates = [thing["spec"]["template"] for thing in of_kind(source, "Deployment")]
    return [(pod["metadata"], pod["spec"]) for pod in templates + of_kind(source, "Pod")]


def exporter(source):
    """Returns the pod and the container of the exporter."""
    template = only(source, "Deployment")["spec"]["template"]
    return template, template["spec"]["containers"][0]


@cache
def certificate():
    with tempfile.TemporaryDirectory() as directory:
        key, crt = Path(directory) / "key", Path(directory) / "crt"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
             "-subj", "/CN=exporter", "-keyout", key, "-out", crt],
            check=True, capture_output=True,
        )  # fmt: skip
        return crt.read_text(), key.read_text()


@cache
def existing():
    """Returns Secrets that the user has created before."""
    crt, key = certificate()
    return {
        "existing-api-key": {"SPACELIFT_PROMEX_API_KEY_SECRET": "0123456789"},
        "existing-aws-credentials": {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "0123456789"},
        "existing-ca": {"root.pem": crt},
        "existing-certificate": {"tls.crt": crt, "tls.key": key, "ca.crt": crt},
        "existing-google-credentials": {"credentials.json": "{}", "key.json": "{}"},
        "existing-proxy": {"HTTPS_PROXY": "http://proxy.example.com:3128"},
        "existing-webhook-secret": {
            "SPACELIFT_PROMEX_WEBHOOK_SECRET": "9876543210",
            "two-secrets": "9876543210\nabcdefghij\n",
        },
        "existing-web-config": {
            "users.yaml": "basic_auth_users: {prometheus: $2b$10$WZGJILI3KnheJ3wwbxeMtehfPOeG3QNA46aIgHONkUjj2NC3y01oS}\n",
            "web-config.yaml": "tls_server_config: {cert_file: /certs/tls.crt, key_file: /certs/tls.key}\n",
        },
        # Created by the overlay of the kustomization.
        "spacelift-api-key": {"SPACELIFT_PROMEX_API_KEY_SECRET": "0123456789"},
    }


def texts_of(thing):
    """Returns the data of a ConfigMap or Secret."""
    texts = thing.get("data", {})
    if thing["kind"] == "Secret":
        texts = {key: base64.b64decode(text).decode() for key, text in texts.items()}
    return texts | thing.get("stringData", {})


def data(source, kind, name):
    """Returns the data of a ConfigMap or Secret that a pod refers to."""
    for thing in objects(source):
        if (thing["kind"], thing["metadata"]["name"]) == (kind, name):
            return texts_of(thing)
    if kind == "Secret" and name in existing():
        return existing()[name]
    raise LookupError(f"{source} refers to {kind} {name}, which is neither rendered nor an existing one")


def environment(source):
    """Returns the environment variables of the exporter."""
    _, container = exporter(source)
    variables = {}
    for origin in container.get("envFrom", []):
        for key, kind in [("configMapRef", "ConfigMap"), ("secretRef", "Secret")]:
            if key in origin:
                variables |= data(source, kind, origin[key]["name"])
    for entry in container.get("env", []):
        if reference := entry.get("valueFrom", {}).get("secretKeyRef"):
            variables[entry["name"]] = data(source, "Secret", reference["name"])[reference["key"]]
        else:
            variables[entry["name"]] = entry["value"]
    return variables


def items(texts, chosen):
    """Returns the selected files, or all, by path."""
    return {item["path"]: texts[item["key"]] for item in chosen} if chosen else texts


def files(source, volume):
    """Returns the files in a volume, by path."""
    match volume:
        case {"configMap": {"name": name}}:
            return data(source, "ConfigMap", name)
        case {"secret": {"secretName": name}}:
            return data(source, "Secret", name)
        case {"projected": {"sources": sources}}:
            return {path: text for part in sources for path, text in projected(source, part).items()}
        case {"emptyDir": _} | {"persistentVolumeClaim": _}:
            return {}
    raise LookupError(f"{source} has an unsupported volume: {volume}")


def projected(source, part):
    match part:
        case {"secret": {"name": name, **rest}}:
            return items(data(source, "Secret", name), rest.get("items"))
        case {"serviceAccountToken": {"path": path}}:
            return {path: "a.service.account.token"}
    raise LookupError(f"{source} has an unsupported projection: {part}")


def mounts(source):
    """Returns the files that are mounted into the exporter's container: mount path -> path -> text."""
    template, container = exporter(source)
    volumes = {volume["name"]: volume for volume in template["spec"].get("volumes") or []}
    return {mount["mountPath"]: files(source, volumes[mount["name"]]) for mount in container.get("volumeMounts") or []}
