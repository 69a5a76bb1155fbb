"""Holds the images that are to be published to what is promised of them."""

import gzip
import io
import json
import subprocess
import sys
import tarfile

MIB = 1024 * 1024
# The largest size of an image, compressed as in a registry, and how it is run.
IMAGES = {
    "spacelift-promex": {"limit": 12 * MIB, "port": "9953/tcp", "command": ["serve"]},
    "spot-interruption-exporter": {"limit": 16 * MIB, "port": "8090/tcp", "command": None},
}
STATE = "var/lib/spot-interruption-exporter"


def docker(*arguments):
    return subprocess.run(["docker", *arguments], check=True, stdout=subprocess.PIPE).stdout


def files(reference):
    """What is in a container's file system, without what the engine adds to every one."""
    container = docker("create", reference).decode().strip()
    try:
        tree = tarfile.open(fileobj=io.BytesIO(docker("export", container)))
        added = (".dockerenv", "dev/", "proc/", "sys/", "etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/mtab")
        members = {m.name: m for m in tree if not m.isdir() or m.name == STATE}
        kept = {n: m for n, m in members.items() if not n.startswith(added)}
        roots = tree.extractfile("etc/ssl/certs/ca-certificates.crt").read()
    finally:
        docker("rm", container)
    return kept, roots


def check(name, expected, revision):
    reference = f"{name}:engine-test"
    image = json.loads(docker("image", "inspect", reference))[0]["Config"]
    program = f"/usr/local/bin/{name}"
    assert image["User"] == "65532:65532", image["User"]
    assert image["Entrypoint"] == [program], image["Entrypoint"]
    assert image["Cmd"] == expected["command"], image["Cmd"]
    assert list(image["ExposedPorts"]) == [expected["port"]], image["ExposedPorts"]
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in image["Labels"].items()}
    assert labels.pop("description")
    assert labels == {
        "title": name,
        "source": "https://github.com/cloud-exporters/cloud-exporters",
        "licenses": "Apache-2.0",
        "version": "0.0.0-test",
        "revision": revision,
    }, labels

    content, roots = files(reference)
    wanted = {program.lstrip("/"), "etc/ssl/certs/ca-certificates.crt"}
    if name == "spot-interruption-exporter":
        wanted.add(STATE)
        assert (content[STATE].uid, content[STATE].gid) == (65532, 65532), content[STATE]
    assert set(content) == wanted, sorted(content)
    assert roots.count(b"BEGIN CERTIFICATE") > 50

    version = docker("run", "--rm", "--read-only", reference, "--version").decode().strip()
    assert revision[:12] in version, version

    size = len(gzip.compress(docker("save", reference), 6))
    assert size <= expected["limit"], f"{name} has {size / MIB:.1f} MiB"
    print(f"{version}: {size / MIB:.2f} MiB compressed, at most {expected['limit'] // MIB} are allowed")


for name, expected in IMAGES.items():
    check(name, expected, sys.argv[1])
