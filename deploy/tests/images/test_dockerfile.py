"""What images are promised to be, as far as the Dockerfile tells."""

import re

import pytest
from files import DOCKERFILE, STAGES, exec_form
from promises import CA_ROOTS, RELEASED, USER, check_labels, program

EXTERNAL = sorted({stage.base for stage in STAGES.values()} - set(STAGES) - {"scratch"})


@pytest.mark.parametrize("image", EXTERNAL)
def test_what_comes_from_outside_is_pinned_by_version_and_digest(image):
    assert re.fullmatch(r"[a-z/]+:[0-9]+\.[0-9]+\.[0-9]+[a-z0-9.-]*@sha256:[0-9a-f]{64}", image)


def test_no_frontend_is_pulled():
    assert not re.search(r"^#\s*syntax\s*=", DOCKERFILE.read_text(), re.MULTILINE | re.IGNORECASE)


@pytest.mark.parametrize("stage", [name for name in STAGES if name.endswith("-build")])
def test_programs_are_built_from_the_lock_file(stage):
    cargo = [command for value in STAGES[stage].values("RUN") for command in re.findall(r"cargo [^&]+", value)]
    assert any("cargo build" in command for command in cargo)
    for command in cargo:
        assert "--locked" in command, command


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_image_is_the_program_and_little_else(name):
    stage = STAGES[name]
    assert STAGES[stage.base].base == "scratch"
    assert not [value for instruction, value in stage.instructions if instruction in ("RUN", "ADD", "ENV", "VOLUME")]
    assert stage.last("USER") == USER
    assert stage.last("EXPOSE") == str(RELEASED[name].port)
    assert exec_form(stage.last("ENTRYPOINT")) == [program(name)]
    assert exec_form(stage.last("CMD")) == RELEASED[name].command
    assert any(CA_ROOTS in value for value in stage.values("COPY"))


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_image_says_what_it_is(name):
    check_labels(STAGES[name].labels(), name, "${VERSION}", "${REVISION}")


@pytest.mark.parametrize("name", RELEASED)
def test_development_adds_nothing_but_a_way_to_ask_for_health(name):
    assert STAGES[f"{name}-dev"].base == name
    assert STAGES[f"{name}-dev"].instructions == [("COPY", "--from=busybox /bin/wget /bin/")]
