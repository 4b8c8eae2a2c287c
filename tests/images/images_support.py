"""Small stand-ins for what an image is built from: ELF files, wheels, trees."""

from __future__ import annotations

import base64
import hashlib
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

BASE = 0x10000
"""Where the made ELF files are loaded."""


def elf_file(
    *,
    needed: Sequence[str] = (),
    runpath: str | None = None,
    interpreter: str | None = None,
    machine: int = 183,
    stack_flags: int = 6,
) -> bytes:
    """A 64-bit little-endian ELF file with a dynamic section and nothing to run."""
    strings, entries = b"\0", b""
    for tag, text in [*((1, name) for name in needed), *(((29, runpath),) if runpath is not None else ())]:
        entries += struct.pack("<qQ", tag, len(strings))
        strings += text.encode() + b"\0"
    loader = b"" if interpreter is None else interpreter.encode() + b"\0"
    count = 3 if interpreter is None else 4
    at = 64 + 56 * count
    entries += struct.pack("<qQ", 5, BASE + at + len(loader)) + struct.pack("<qQ", 0, 0)
    tables = at + len(loader) + len(strings)
    size = tables + len(entries)
    segments = [
        struct.pack("<IIQQQQQQ", 1, 4, 0, BASE, BASE, size, size, 4096),
        struct.pack("<IIQQQQQQ", 2, 4, tables, BASE + tables, 0, len(entries), len(entries), 8),
        struct.pack("<IIQQQQQQ", 0x6474E551, stack_flags, 0, 0, 0, 0, 0, 16),
    ]
    if interpreter is not None:
        segments.append(struct.pack("<IIQQQQQQ", 3, 4, at, BASE + at, 0, len(loader), len(loader), 1))
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, machine, 1, 0, 64, 0, 0, 64, 56, count, 0, 0, 0)
    return head + b"".join(segments) + loader + strings + entries


def record_line(name: str, content: bytes) -> str:
    """A line of a RECORD for a file."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{name},sha256={digest},{len(content)}"


def write_wheel(
    folder: Path,
    files: Mapping[str, bytes],
    *,
    name: str = "thing",
    requires: Sequence[str] = (),
    record: str | None = None,
) -> Path:
    """A wheel with these files, METADATA, and the RECORD that fits them, or another."""
    info = f"{name}-1.0.dist-info"
    lines = "".join(f"Requires-Dist: {one}\n" for one in requires)
    inside = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{lines}".encode(),
    }
    listed = "\n".join([*(record_line(one, content) for one, content in inside.items()), f"{info}/RECORD,,"])
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for one, content in inside.items():
            archive.writestr(zipfile.ZipInfo(one), content)
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD"), listed if record is None else record)
    return path


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """The folder, with these files in it."""
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder
