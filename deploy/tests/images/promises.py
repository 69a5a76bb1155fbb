"""Properties of the released images, for the checks of the Dockerfile and of the images."""

import dataclasses

USER = "65532:65532"
CA_ROOTS = "/etc/ssl/certs/ca-certificates.crt"
MIB = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Image:
    port: int
    command: list[str] | None
    largest: int
    """Maximum size in bytes, compressed as in a registry."""


RELEASED = {
    "spacelift-promex": Image(port=9953, command=["serve"], largest=12 * MIB),
    "spot-interruption-exporter": Image(port=8090, command=None, largest=16 * MIB),
}


def program(name):
    return f"/usr/local/bin/{name}"


def check_labels(found, name, version, revision):
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in found.items()}
    assert labels.pop("description")
    assert labels == {
        "title": name,
        "source": "https://github.com/cloud-exporters/cloud-exporters",
        "licenses": "Apache-2.0",
        "version": version,
        "revision": revision,
    }, labels
