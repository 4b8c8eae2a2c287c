"""The software bill of materials (CycloneDX 1.5, JSON): each file of the image, traced to what it came with.

It follows from the image alone: no time of today, no random serial number, everything sorted.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from .builder import EPOCH
from .components import Component, debian_component, own_component
from .downloads import fetch, file_sha256
from .errors import ImageError
from .kernel import COMMAND_LINE, Kernel
from .locks import Lock
from .manifest import TOOLS
from .places import IMAGES, LOCKS, REPOSITORY, cache
from .rootfs import Origin, Root
from .sdcard import KERNEL

_SCHEMA: Final = "http://cyclonedx.org/schema/bom-1.5.schema.json"
_IMAGE: Final = "image"
_KERNEL_SAYS: Final = "SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note"
_KERNEL_LICENSE: Final = "GPL-2.0-only WITH Linux-syscall-note"
"""The same as SPDX spells it today."""


@dataclass(slots=True)
class Part:
    """A component of the image, its ``kind`` as CycloneDX calls it, the ``files`` it gave, more ``facts`` on it."""

    component: Component
    kind: str = "library"
    files: list[dict[str, Any]] = field(default_factory=list)
    facts: Mapping[str, str] = field(default_factory=dict)


def write(root: Root, kernel: Kernel, card: Mapping[str, Path], path: Path) -> None:
    """Write the bill of a root, the kernel it was linked into, and the files of a ``card`` by their names there.

    Raises ImageError for a file that traces to nothing.
    """
    parts = parts_of_root(root.files, {name: file_sha256(root.tree / name) for name in _files(root.tree)})
    own = next(part for part in parts if part.component == own_component())
    system = _kernel(kernel)
    [(package, archive)] = fetch(Lock.read(LOCKS / "board.lock"), cache() / "debs").items()
    firmware, text = _content(archive, f"usr/share/doc/{package.name}/copyright")
    board = Part(debian_component(package, archive, text), "firmware")
    add_card({name: file_sha256(place) for name, place in card.items()}, firmware, own, system, board)
    path.write_text(bill([*parts, system, board], _tools()), encoding="utf-8")


def parts_of_root(origins: Mapping[str, Origin], hashes: Mapping[str, str]) -> list[Part]:
    """One part for each component that gave the root a file. ``hashes``: the SHA-256 (hex) of each file that is really
    there. Raises ImageError when one is not accounted for."""
    parts: dict[Component, Part] = {}
    for name in sorted(hashes):
        origin = origins.get(name)
        # Attack: something gets into an image beside the packages that everyone can look into.
        if origin is None or origin.sha256 != hashes[name]:
            raise ImageError(f"/{name} traces to no package, wheel or source of ours, or is not what came from there")
        kind = "library" if origin.component.sha256 is not None else "application"
        parts.setdefault(origin.component, Part(origin.component, kind)).files.append(_file(name, origin))
    if lost := sorted(origins.keys() - hashes.keys()):
        raise ImageError(f"/{lost[0]} is listed, but not in the root")
    return [parts[one] for one in sorted(parts)]


def bill(parts: Sequence[Part], tools: Iterable[Component]) -> str:
    """The bill of these parts, made with these tools, as JSON. Raises ImageError for a part without a licence."""
    for part in parts:
        if not part.component.licenses and part.component.expression is None:
            raise ImageError(f"{part.component.name} does not say under which licence it is")
    version = own_component().version
    described = {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "components": [_described_part(part) for part in parts],
        "dependencies": [{"ref": _IMAGE, "dependsOn": [part.component.address for part in parts]}],
        "metadata": {
            "component": {
                "bom-ref": _IMAGE,
                "name": "undercroft-appliance-image",
                "type": "firmware",
                "version": version,
            },
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(EPOCH)),
            "tools": {"components": [_described(one, "application") for one in tools]},
        },
        "specVersion": "1.5",
        "version": 1,
    }
    # Others refer to a bill by its number. It is another one for each other bill, and the same for the same.
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(described, sort_keys=True))
    return json.dumps({**described, "serialNumber": number.urn}, indent=1, sort_keys=True) + "\n"


def _files(tree: Path) -> list[str]:
    return [path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]


def _file(name: str, origin: Origin) -> dict[str, Any]:
    facts = {"path": origin.path}
    if origin.made_from is not None:
        facts["compiled-from"] = f"/{origin.made_from}"
    return _plain_file(f"/{name}", origin.sha256, facts)


def _plain_file(name: str, sha256: str, facts: Mapping[str, str]) -> dict[str, Any]:
    return {
        "bom-ref": f"file:{name}",
        "hashes": _hash(sha256),
        "name": name,
        "properties": _facts(facts),
        "type": "file",
    }


def _described(component: Component, kind: str) -> dict[str, Any]:
    described: dict[str, Any] = {
        "bom-ref": component.address,
        "name": component.name,
        "purl": component.address,
        "type": kind,
        "version": component.version,
    }
    if component.sha256 is not None:
        described["hashes"] = _hash(component.sha256)
    if component.expression is not None:
        described["licenses"] = [{"expression": component.expression}]
    elif component.licenses:
        described["licenses"] = [{"license": {"name": name}} for name in component.licenses]
    return described


def _described_part(part: Part) -> dict[str, Any]:
    described = {**_described(part.component, part.kind), "components": part.files}
    return {**described, "properties": _facts(part.facts)} if part.facts else described


def _hash(sha256: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": sha256}]


def _facts(facts: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": f"undercroft:{name}", "value": value} for name, value in sorted(facts.items())]


def _kernel(kernel: Kernel) -> Part:
    [(package, archive)] = fetch(Lock.read(LOCKS / "kernel.lock"), cache() / "debs").items()
    # The package's copyright file is on programs too that are no part of a kernel.
    if _KERNEL_SAYS not in (kernel.source / "COPYING").read_text(encoding="utf-8"):
        raise ImageError("the kernel's COPYING names another licence")
    component = replace(debian_component(package, archive), expression=_KERNEL_LICENSE)
    options = hashlib.sha256(kernel.options().encode()).hexdigest()
    return Part(component, "operating-system", [], {"command-line": COMMAND_LINE, "options-sha256": options})


def add_card(card: Mapping[str, str], firmware: Mapping[str, str], own: Part, system: Part, board: Part) -> None:
    """Add all files of a ``card``, by their names and SHA-256 (hex), each to the part that it is from.

    ``firmware``: the paths in the board's package by SHA-256. Raises ImageError for one that is from nowhere.
    """
    ours = {file_sha256(path): path for path in IMAGES.rglob("*") if path.is_file()}
    for name, digest in sorted(card.items()):
        if digest in firmware:
            part, facts = board, {"path": firmware[digest]}
        else:
            part, facts = (own if digest in ours else system), trace(name, digest, ours)
        part.files.append(_plain_file(f"card:{name}", digest, facts))


def trace(name: str, sha256: str, ours: Mapping[str, Path]) -> dict[str, str]:
    """What a file of the card, which is in no package, is or was built from; ``ours``: our files by SHA-256 (hex).

    Raises ImageError.
    """
    if sha256 in ours:
        return {"path": ours[sha256].relative_to(REPOSITORY).as_posix()}
    # A board's tree has variants, such as pi4-usb.dtb of pi4.dts.
    board = Path(name).stem.partition("-")[0]
    sources = [path for path in ours.values() if path.suffix == ".dts" and path.stem == board]
    if name.endswith(".dtb") and sources:
        return {"built-from": f"{sources[0].relative_to(REPOSITORY).as_posix()} and the kernel's own"}
    if name == KERNEL:
        return {"built-from": "the kernel and the root of this bill"}
    raise ImageError(f"{name} of the card traces to no package and no source of ours")


def _content(archive: Path, wanted: str) -> tuple[dict[str, str], str]:
    """The files of a .deb, their paths by their SHA-256 (hex), and the text of the ``wanted`` one."""
    tar = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", archive], stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    found, text = {}, ""
    with tarfile.open(fileobj=io.BytesIO(tar.stdout)) as files:
        for member in files:
            content = files.extractfile(member) if member.isfile() else None
            if content is not None:
                data, name = content.read(), member.name.removeprefix("./")
                found[hashlib.sha256(data).hexdigest()] = name
                text = data.decode("utf-8", "replace") if name == wanted else text
    return found, text


def _tools() -> list[Component]:
    lock = Lock.read(LOCKS / "builder.lock")
    # Those alone: the others would be read and hashed for nothing.
    few = replace(lock, packages=tuple(one for one in lock.packages if one.name in TOOLS))
    found = [debian_component(one, archive) for one, archive in fetch(few, cache() / "debs").items()]
    if len(found) != len(TOOLS):
        raise ImageError("builder.lock lacks a program that makes the image")
    return found
