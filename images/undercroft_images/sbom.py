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
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from .builder import EPOCH
from .downloads import fetch, file_sha256
from .errors import ImageError
from .ingredients import Component, debian_component
from .kernel import COMMAND_LINE, Kernel
from .locks import Lock, Package
from .manifest import TOOLS
from .places import IMAGES, LOCKS, REPOSITORY, cache
from .rootfs import Origin, Root

_SCHEMA: Final = "http://cyclonedx.org/schema/bom-1.5.schema.json"
_OWN: Final = "pkg:generic/undercroft"


def write(root: Root, kernel: Kernel, card: Mapping[str, Path], path: Path) -> None:
    """Write the bill of a root, the kernel it was linked into, and the files of a ``card`` by their names there.

    Raises ImageError for a file that traces to nothing.
    """
    hashes = {name: file_sha256(root.tree / name) for name in _files(root.tree)}
    bill = bill_of_root(root.files, hashes)
    bill["components"] += [_kernel(kernel), *_card(card)]
    bill["metadata"]["tools"] = {"components": _tools()}
    path.write_text(json.dumps(bill, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def bill_of_root(origins: Mapping[str, Origin], hashes: Mapping[str, str]) -> dict[str, Any]:
    """A bill with one component for each that gave the root a file, its files inside it. ``hashes``: the SHA-256 (hex)
    of each file that is really there. Raises ImageError when one is not accounted for."""
    parts: dict[Component, list[dict[str, Any]]] = {}
    for name in sorted(hashes):
        origin = origins.get(name)
        # Attack: something gets into an image beside the packages that everyone can look into.
        if origin is None or origin.sha256 != hashes[name]:
            raise ImageError(f"/{name} traces to no package, wheel or source of ours, or is not what came from there")
        parts.setdefault(origin.component, []).append(_file(name, origin))
    if lost := sorted(origins.keys() - hashes.keys()):
        raise ImageError(f"/{lost[0]} is listed, but not in the root")
    own = next((one for one in parts if one.address.startswith(_OWN)), None)
    components = [{**_described(one, "library"), "components": files} for one, files in sorted(parts.items())]
    return {
        "$schema": _SCHEMA,
        "bomFormat": "CycloneDX",
        "components": components,
        "metadata": {
            "component": {
                "bom-ref": "image",
                "name": "undercroft-appliance-image",
                "type": "firmware",
                "version": own.version if own is not None else "",
            },
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(EPOCH)),
        },
        "specVersion": "1.5",
        "version": 1,
    }


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


def _hash(sha256: str) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": sha256}]


def _facts(facts: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": f"undercroft:{name}", "value": value} for name, value in sorted(facts.items())]


def _kernel(kernel: Kernel) -> dict[str, Any]:
    [package] = Lock.read(LOCKS / "kernel.lock").packages
    options = hashlib.sha256(kernel.options().encode()).hexdigest()
    described = _described(debian_component(package), "operating-system")
    return {
        **described,
        "licenses": [{"expression": "GPL-2.0-only WITH Linux-syscall-note"}],
        "properties": _facts({"command-line": COMMAND_LINE, "options-sha256": options}),
    }


def _card(card: Mapping[str, Path]) -> list[dict[str, Any]]:
    """All files of a card: the board's own start-up files in the package that has them, then the rest."""
    [(package, archive)] = fetch(Lock.read(LOCKS / "board.lock"), cache() / "debs").items()
    theirs = _hashes_in(archive)
    ours = {file_sha256(path): path for path in IMAGES.rglob("*") if path.is_file()}
    board, rest = [], []
    for name, place in sorted(card.items()):
        digest = file_sha256(place)
        if digest in theirs:
            board.append(_plain_file(f"card:{name}", digest, {"path": theirs[digest]}))
        else:
            rest.append(_plain_file(f"card:{name}", digest, trace(name, digest, ours)))
    return [{**_described(debian_component(package), "firmware"), "components": board}, *rest]


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
    if name.startswith("kernel"):
        return {"built-from": "the kernel and the root of this bill"}
    raise ImageError(f"{name} of the card traces to no package and no source of ours")


def _hashes_in(archive: Path) -> dict[str, str]:
    """The files of a .deb: their paths by their SHA-256 (hex)."""
    tar = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", archive], stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    found = {}
    with tarfile.open(fileobj=io.BytesIO(tar.stdout)) as files:
        for member in files:
            content = files.extractfile(member) if member.isfile() else None
            if content is not None:
                found[hashlib.sha256(content.read()).hexdigest()] = member.name.removeprefix("./")
    return found


def _tools() -> list[dict[str, Any]]:
    packages: Iterable[Package] = Lock.read(LOCKS / "builder.lock").packages
    found = [_described(debian_component(one), "application") for one in packages if one.name in TOOLS]
    if len(found) != len(TOOLS):
        raise ImageError("builder.lock lacks a program that makes the image")
    return found
