"""Properties of the images that can be checked in the Dockerfile."""

import re

import pytest
from files import DOCKERFILE, STAGES, exec_form
from promises import CA_ROOTS, RELEASED, USER, check_labels, program

EXTERNAL = sorted({stage.base for stage in STAGES.values()} - set(STAGES) - {"scratch"})


@pytest.mark.parametrize("image", EXTERNAL)
def test_base_images_are_pinned_by_version_and_digest(image):
    assert re.fullmatch(r"[a-z/]+:[0-9]+\.[0-9]+\.[0-9]+[a-z0-9.-]*@sha256:[0-9a-f]{64}", image)


def test_no_syntax_frontend_is_used():
    assert not re.search(r"^#\s*syntax\s*=", DOCKERFILE.read_text(), re.MULTILINE | re.IGNORECASE)


@pytest.mark.parametrize("stage", [name for name in STAGES if name.endswith("-build")])
def test_programs_are_built_from_the_lock_file(stage):
    cargo = [command for value in STAGES[stage].values("RUN") for command in re.findall(r"cargo [^&]+", value)]
    assert any("cargo build" in command for command in cargo)
    for command in cargo:
        assert "--locked" in command, command


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_image_contains_only_the_program_and_certificates(name):
    stage = STAGES[name]
    assert STAGES[stage.base].base == "scratch"
    assert not [value for instruction, value in stage.instructions if instruction in ("RUN", "ADD", "ENV", "VOLUME")]
    assert stage.last("USER") == USER
    assert stage.last("EXPOSE") == str(RELEASED[name].port)
    assert exec_form(stage.last("ENTRYPOINT")) == [program(name)]
    assert exec_form(stage.last("CMD")) == RELEASED[name].command
    assert any(CA_ROOTS in value for value in stage.values("COPY"))


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_image_has_labels(name):
    check_labels(STAGES[name].labels(), name, "${VERSION}", "${REVISION}")


@pytest.mark.parametrize("name", RELEASED)
def test_development_images_add_only_wget(name):
    assert STAGES[f"{name}-dev"].base == name
    assert STAGES[f"{name}-dev"].instructions == [("COPY", "--from=busybox /bin/wget /bin/")]
