"""The ELF reader, against the interpreter that runs this test and against made files."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import pytest

from images.images_support import elf_file
from undercroft_images.elf import AARCH64, read_elf
from undercroft_images.errors import ImageError

_MACHINES = {"x86_64": 62, "aarch64": 183}


def test_the_running_interpreter_is_read() -> None:
    elf = read_elf(Path(sys.executable).resolve().read_bytes(), "python")
    assert elf.machine == _MACHINES[os.uname().machine]
    assert elf.interpreter is not None
    assert Path(elf.interpreter).is_file()
    assert "libc.so.6" in elf.needed
    assert not elf.runs_stack


def test_what_the_interpreter_needs_is_what_it_has_mapped() -> None:
    mapped = {Path(line.split()[-1]).name for line in Path("/proc/self/maps").read_text().splitlines() if "/" in line}
    for soname in read_elf(Path(sys.executable).resolve().read_bytes(), "python").needed:
        assert soname in mapped


def test_a_made_file_is_read_whole() -> None:
    data = elf_file(needed=["liba.so.1", "libb.so"], runpath="$ORIGIN/../libs:/opt", interpreter="/lib/ld.so")
    elf = read_elf(data, "made")
    assert elf.machine == AARCH64
    assert elf.needed == ("liba.so.1", "libb.so")
    assert elf.folders == ("$ORIGIN/../libs", "/opt")
    assert elf.interpreter == "/lib/ld.so"


def test_a_stack_that_runs_is_seen() -> None:
    assert read_elf(elf_file(stack_flags=7), "made").runs_stack
    assert not read_elf(elf_file(stack_flags=6), "made").runs_stack


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x01\x01" + bytes(60), bytes(64)])
def test_what_is_no_elf_file_is_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match=r"made is no ELF file"):
        read_elf(data, "made")


def test_a_file_that_is_cut_off_anywhere_is_refused_or_read_alike() -> None:
    data = elf_file(needed=["liba.so.1"])
    whole = read_elf(data, "made")
    for length in range(len(data)):
        try:
            assert read_elf(data[:length], "made") == whole
        except ImageError:
            continue


def test_attack_a_table_of_names_outside_of_the_file_is_refused() -> None:
    data = bytearray(elf_file(needed=["liba.so.1"]))
    at = data.index(struct.pack("<q", 5), 64 + 56 * 3)
    data[at + 8 : at + 16] = struct.pack("<Q", 1 << 60)
    with pytest.raises(ImageError):
        read_elf(bytes(data), "made")
