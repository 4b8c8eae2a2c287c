"""Every vector of bad input before its door; every refusal code and every line of the survey has one."""

from __future__ import annotations

import re
from typing import Final

import pytest

from bad_inputs import DOORS, FOLDER, SCENARIO_DOOR, TEST_DOOR, Vector, vectors
from undercroft_appliance.keeper.refusals import CODES
from undercroft_protocol.errors import CborError, DescriptorError, KeyFormatError, MessageError
from vectors.make_bad import made
from vectors.vector_files import differing

VECTORS: Final = vectors()
LINES: Final = range(1, 101)
PARSERS: Final = {error.code for error in (CborError, DescriptorError, KeyFormatError, MessageError)}
WITHOUT: Final = {
    int(number): why
    for number, why in re.findall(r"^\| (\d+) \| (.*) \|$", (FOLDER / "README.md").read_text(encoding="utf-8"), re.M)
}


def of(*doors: str) -> list[Vector]:
    return [one for one in VECTORS if one.door in doors]


@pytest.mark.parametrize("vector", of(*DOORS.keys() - {SCENARIO_DOOR, TEST_DOOR}), ids=lambda one: one.name)
def test_attack_bad_input_gets_its_code(vector: Vector) -> None:
    assert vector.outcome() == vector.expect


@pytest.mark.parametrize("vector", of(SCENARIO_DOOR), ids=lambda one: one.name)
def test_attack_bad_request_in_its_state_gets_its_code_and_the_host_a_coarse_one(vector: Vector) -> None:
    assert vector.outcome() == vector.expect


@pytest.mark.parametrize("vector", of(TEST_DOOR), ids=lambda one: one.name)
def test_what_bytes_cannot_prove_is_proved_by_a_test_that_is_there(vector: Vector) -> None:
    assert vector.outcome() == vector.expect


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_refusal_code_has_a_vector(code: str) -> None:
    assert any(vector.expect == code for vector in VECTORS)


def test_no_vector_names_a_code_or_a_door_that_is_gone() -> None:
    assert {vector.expect for vector in VECTORS} <= CODES.keys() | PARSERS | {"sign"}
    assert {vector.door for vector in VECTORS} == DOORS.keys()


def test_every_line_of_the_survey_has_a_vector_or_a_reason_and_never_both() -> None:
    covered = {vector.line for vector in VECTORS if vector.line is not None}
    assert covered.isdisjoint(WITHOUT)
    assert covered | WITHOUT.keys() == set(LINES)


def test_a_line_or_a_code_is_in_every_name() -> None:
    assert all(vector.line is not None or vector.name.startswith(f"code-{vector.expect}") for vector in VECTORS)


def test_the_files_are_what_the_generator_writes() -> None:
    assert differing(FOLDER, made()) == []
