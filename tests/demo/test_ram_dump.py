"""The scan of a whole machine's RAM finds every form anywhere, and knows what an open appliance keeps.

Here the dump is a file with planted keys; `make image-test` scans the dumps of a real appliance.
"""

from __future__ import annotations

import hashlib
import mmap
import random
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from undercroft_appliance.devtools.guarded_slots import kept_offsets
from undercroft_appliance.devtools.key_secrets import KEPT
from undercroft_appliance.devtools.secret_forms import Secret, forms_of
from undercroft_appliance.errors import ConfigurationError
from undercroft_demo.ram_dump import Emulated, Expect, Findings, dump, places_of, scan_file
from undercroft_demo.ram_file import RamFile

RAM_START = 0x4000_0000
PAGES = 96
GUARDED, OTHER = 17, 40
"""Pages of the RAM."""
SECRETS = tuple(Secret(name, hashlib.sha256(name.encode()).digest()) for name in sorted(KEPT | {"seed"}))
KEYS = {secret.name: secret.data for secret in SECRETS}
PASSPHRASE = Secret.of_text("passphrase", "Vexing quartz 9153, jumbo flywheel")
OFFSETS = kept_offsets()
NEEDED = {GUARDED * mmap.PAGESIZE + offset: KEYS[name] for name, offset in OFFSETS.items()}
"""What an open appliance has in its RAM."""


def elf(ram: bytes, registers: bytes = b"") -> bytes:
    """As QEMU writes it: a note for the registers, one segment for the RAM."""
    note = struct.pack("<3I", 5, len(registers), 1) + b"CORE\0\0\0\0" + registers if registers else b""
    first = 64 + 2 * 56
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header += struct.pack("<2HI3QI6H", 4, 183, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    header += struct.pack("<2I6Q", 4, 0, first, 0, 0, len(note), len(note), 0)
    header += struct.pack("<2I6Q", 1, 0, first + len(note), 0, RAM_START, len(ram), len(ram), 0)
    return header + note + ram


def ram_with(parts: Mapping[int, bytes]) -> bytes:
    ram = bytearray(random.Random(1).randbytes(PAGES // 2 * mmap.PAGESIZE) + bytes(PAGES // 2 * mmap.PAGESIZE))
    for at, data in parts.items():
        ram[at : at + len(data)] = data
    return bytes(ram)


def look(
    directory: Path, parts: Mapping[int, bytes], expect: Expect = Expect.NOTHING, registers: bytes = b""
) -> Findings:
    path = directory / "ram.elf"
    path.write_bytes(elf(ram_with(parts), registers))
    return scan_file(path, (*SECRETS, PASSPHRASE), expect=expect)


def test_a_locked_machine_holds_nothing(tmp_path: Path) -> None:
    findings = look(tmp_path, {})
    assert findings.wrong == ()
    assert findings.copies == ()
    assert findings.read_bytes >= PAGES * mmap.PAGESIZE


@pytest.mark.parametrize("form", forms_of(SECRETS[0]) + forms_of(PASSPHRASE), ids=repr)
def test_attack_a_copy_in_any_form_anywhere_in_ram_is_found(tmp_path: Path, form: Any) -> None:
    findings = look(tmp_path, {OTHER * mmap.PAGESIZE + 77: form.data})
    assert {copy.address for copy in findings.copies if copy.form == form.name} == {
        RAM_START + OTHER * mmap.PAGESIZE + 77
    }
    assert form.secret in findings.wrong[0]


def test_attack_a_word_of_a_key_in_a_saved_register_is_found(tmp_path: Path) -> None:
    """64 bits of a scalar, as a kernel's stack keeps them of an interrupted computation."""
    word = KEYS["seed"][::-1][8:16]
    findings = look(tmp_path, {OTHER * mmap.PAGESIZE + 8 * 31: word})
    assert {(copy.secret, copy.size) for copy in findings.copies} == {("seed", 8)}
    assert "reversed" in {copy.form for copy in findings.copies}


def test_attack_half_a_key_in_a_vector_register_of_a_processor_is_found(tmp_path: Path) -> None:
    registers = bytes(16 * 7) + KEYS["branch 0"][:16] + bytes(16 * 24)
    findings = look(tmp_path, {}, registers=registers)
    assert [(copy.secret, copy.size) for copy in findings.copies] == [("branch 0", 16)]
    assert "registers" in findings.wrong[0]


def test_words_of_a_passphrase_that_also_stand_elsewhere_are_no_copy(tmp_path: Path) -> None:
    assert look(tmp_path, {OTHER * mmap.PAGESIZE: b"flywheel"}).copies == ()


def test_an_open_machine_holds_the_kept_keys_once_where_its_keeper_keeps_them(tmp_path: Path) -> None:
    assert set(OFFSETS) == KEPT
    findings = look(tmp_path, NEEDED, Expect.KEPT)
    assert findings.wrong == ()
    assert len(findings.copies) == len(KEPT)


def test_attack_the_kept_keys_count_as_copies_once_the_machine_is_locked(tmp_path: Path) -> None:
    assert {copy.secret for copy in look(tmp_path, NEEDED).stray} == KEPT


def test_a_scan_that_sees_no_guarded_page_proves_nothing_and_says_so(tmp_path: Path) -> None:
    findings = look(tmp_path, {}, Expect.KEPT)
    assert set(findings.missing) == KEPT
    assert len(findings.wrong) == len(KEPT)


@pytest.mark.parametrize("name", sorted(KEPT))
def test_attack_a_second_copy_of_a_kept_key_is_found(tmp_path: Path, name: str) -> None:
    at = OTHER * mmap.PAGESIZE + OFFSETS[name]
    findings = look(tmp_path, {**NEEDED, at: KEYS[name]}, Expect.KEPT)
    # Which of the two is the keeper's cannot be told.
    assert [copy.secret for copy in findings.stray] == [name, name]
    assert findings.missing == (name,)


@pytest.mark.parametrize("moved", [16, mmap.PAGESIZE])
@pytest.mark.parametrize("name", sorted(KEPT))
def test_attack_a_kept_key_at_another_place_or_in_another_page_is_found(tmp_path: Path, name: str, moved: int) -> None:
    at = GUARDED * mmap.PAGESIZE + OFFSETS[name]
    parts = {place: data for place, data in NEEDED.items() if place != at}
    findings = look(tmp_path, {**parts, at + moved: KEYS[name]}, Expect.KEPT)
    assert name in {copy.secret for copy in findings.stray}
    assert name in findings.missing


def test_attack_a_secret_that_an_open_machine_must_not_keep_is_found_beside_the_kept(tmp_path: Path) -> None:
    findings = look(tmp_path, {**NEEDED, (GUARDED + 1) * mmap.PAGESIZE: KEYS["seed"]}, Expect.KEPT)
    assert {copy.secret for copy in findings.stray} == {"seed"}
    assert findings.missing == ()


@pytest.mark.parametrize("wide", ["ascii", "utf-16-le", "utf-32-le"])
@pytest.mark.parametrize("shift", [0, 3])
def test_attack_eight_characters_of_a_passphrase_are_found_wherever_they_begin(
    tmp_path: Path, wide: str, shift: int
) -> None:
    at = OTHER * mmap.PAGESIZE + shift
    (tmp_path / "ram.elf").write_bytes(elf(ram_with({at: "umber 73".encode(wide)})))
    assert places_of(tmp_path / "ram.elf", "umber 73") == (RAM_START + at,)
    assert places_of(tmp_path / "ram.elf", "umber 74") == ()


def test_attack_eight_characters_of_a_passphrase_in_a_register_or_reversed_are_found(tmp_path: Path) -> None:
    place = tmp_path / "ram.elf"
    place.write_bytes(elf(ram_with({}), registers=bytes(16) + b"umber 73" + bytes(8)))
    assert len(places_of(place, "umber 73")) == 1
    place.write_bytes(elf(ram_with({OTHER * mmap.PAGESIZE: b"37 rebmu"})))
    assert len(places_of(place, "umber 73")) == 1


class _Control:
    """Stands in for the emulator's control line."""

    def __init__(self, dumped: bytes) -> None:
        self.dumped = dumped
        self.asked: list[tuple[str, object]] = []

    def ask(self, command: str, **arguments: Any) -> None:
        self.asked.append((command, arguments["paging"]))
        Path(arguments["protocol"].removeprefix("file:")).write_bytes(self.dumped)


class _Machine:
    def __init__(self, dumped: bytes) -> None:
        self.control = _Control(dumped)


def test_a_machine_is_dumped_by_physical_address(tmp_path: Path) -> None:
    machine = _Machine(elf(ram_with(NEEDED)))
    dump(cast(Emulated, machine), tmp_path / "ram.elf")
    assert scan_file(tmp_path / "ram.elf", SECRETS, expect=Expect.KEPT).wrong == ()
    assert machine.control.asked == [("dump-guest-memory", False)]


@pytest.mark.parametrize("size", [10, 100, 5000])
def test_attack_a_dump_that_was_cut_or_is_none_does_not_pass_for_clean(tmp_path: Path, size: int) -> None:
    path = tmp_path / "ram.elf"
    path.write_bytes(elf(ram_with({}))[:size])
    with pytest.raises(ConfigurationError, match="is no dump"):
        RamFile(path)
    path.write_bytes(bytes(size))
    with pytest.raises(ConfigurationError, match="is no dump"):
        RamFile(path)
