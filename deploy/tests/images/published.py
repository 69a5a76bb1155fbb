"""Checks the properties of the images that are to be published."""

import gzip
import io
import json
import subprocess
import sys
import tarfile

from promises import CA_ROOTS, MIB, RELEASED, USER, check_labels, program

STATE = "var/lib/spot-interruption-exporter"


def docker(*arguments):
    return subprocess.run(["docker", *arguments], check=True, stdout=subprocess.PIPE).stdout


def files(reference):
    """Returns the files of an image, without those that the engine adds to every container, and the CA certificates."""
    container = docker("create", reference).decode().strip()
    try:
        tree = tarfile.open(fileobj=io.BytesIO(docker("export", container)))
        added = (".dockerenv", "dev/", "proc/", "sys/", "etc/hostname", "etc/hosts", "etc/resolv.conf", "etc/mtab")
        members = {m.name: m for m in tree if not m.isdir() or m.name == STATE}
        kept = {n: m for n, m in members.items() if not n.startswith(added)}
        roots = tree.extractfile(CA_ROOTS.lstrip("/")).read()
    finally:
        docker("rm", container)
    return kept, roots


def check(name, promised, revision):
    reference = f"{name}:engine-test"
    image = json.loads(docker("image", "inspect", reference))[0]["Config"]
    assert image["User"] == USER, image["User"]
    assert image["Entrypoint"] == [program(name)], image["Entrypoint"]
    assert image["Cmd"] == promised.command, image["Cmd"]
    assert list(image["ExposedPorts"]) == [f"{promised.port}/tcp"], image["ExposedPorts"]
    check_labels(image["Labels"], name, "0.0.0-test", revision)

    content, roots = files(reference)
    wanted = {program(name).lstrip("/"), CA_ROOTS.lstrip("/")}
    if name == "spot-interruption-exporter":
        wanted.add(STATE)
        assert (content[STATE].uid, content[STATE].gid) == (65532, 65532), content[STATE]
    assert set(content) == wanted, sorted(content)
    assert roots.count(b"BEGIN CERTIFICATE") > 50

    version = docker("run", "--rm", "--read-only", reference, "--version").decode().strip()
    assert revision[:12] in version, version

    size = len(gzip.compress(docker("save", reference), 6))
    assert size <= promised.largest, f"{name} has {size / MIB:.1f} MiB, which is too much"
    print(f"{version}: {size / MIB:.2f} MiB compressed, the limit is {promised.largest // MIB}")


for name, promised in RELEASED.items():
    check(name, promised, sys.argv[1])
