"""The bill of materials: every file has its place in it, and nothing else has; others' tools can read it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from undercroft_images.components import Component, own_component
from undercroft_images.downloads import file_sha256
from undercroft_images.errors import ImageError
from undercroft_images.places import IMAGES
from undercroft_images.rootfs import Origin
from undercroft_images.sbom import Part, add_card, bill, parts_of_root, trace

_DEB = Component("libc6", "2.41-12", "pkg:deb/debian/libc6@2.41-12?arch=arm64", "a" * 64, ("LGPL-2.1+",))
_TOOL = Component("gzip", "1.13-1", "pkg:deb/debian/gzip@1.13-1?arch=amd64", "c" * 64)
_KERNEL = Component("linux", "6.12", "pkg:deb/debian/linux@6.12?arch=all", "d" * 64, (), "GPL-2.0-only")
_BOARD = Component("firmware", "1", "pkg:deb/debian/firmware@1?arch=all", "e" * 64, ("Proprietary_1",))
_OWN = own_component()
_ORIGINS = {
    "usr/lib/libc.so.6": Origin(_DEB, "usr/lib/aarch64-linux-gnu/libc.so.6", "1" * 64),
    "usr/lib/x.py": Origin(_OWN, "appliance/x.py", "2" * 64),
    "usr/lib/__pycache__/x.pyc": Origin(_OWN, "appliance/x.py", "3" * 64, made_from="usr/lib/x.py"),
}
_HASHES = {name: origin.sha256 for name, origin in _ORIGINS.items()}
_CONFIG = IMAGES / "pi" / "config.txt"


def whole() -> list[Part]:
    """The parts of an image with all kinds of them, and a card."""
    deb, own = parts_of_root(_ORIGINS, _HASHES)
    system = Part(_KERNEL, "operating-system", [], {"command-line": "quiet"})
    board = Part(_BOARD, "firmware")
    card = {
        "config.txt": file_sha256(_CONFIG),
        "kernel8.img": "5" * 64,
        "pi4-usb.dtb": "6" * 64,
        "start4.elf": "7" * 64,
    }
    add_card(card, {"7" * 64: "usr/lib/start4.elf"}, own, system, board)
    return [deb, own, system, board]


def read(parts: Sequence[Part]) -> dict[str, Any]:
    bill_of_parts: dict[str, Any] = json.loads(bill(parts, [_TOOL]))
    return bill_of_parts


def refs(part: Any) -> list[str]:
    """Every bom-ref of a bill."""
    if isinstance(part, dict):
        own = [part["bom-ref"]] if "bom-ref" in part else []
        return own + [ref for value in part.values() for ref in refs(value)]
    return [ref for value in part for ref in refs(value)] if isinstance(part, list) else []


def test_the_bill_is_valid_by_the_schema_of_its_standard() -> None:
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(bill(whole(), [_TOOL])) is None


def test_the_schema_is_one_that_refuses() -> None:
    """That the test above can fail."""
    broken = read(whole())
    broken["components"][0]["hashes"][0]["content"] = "0"
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(json.dumps(broken)) is not None


def test_each_file_stands_in_the_component_it_came_with() -> None:
    found = read(parts_of_root(_ORIGINS, _HASHES))
    assert (found["bomFormat"], found["specVersion"], found["version"]) == ("CycloneDX", "1.5", 1)
    inside = {one["purl"]: [file["name"] for file in one["components"]] for one in found["components"]}
    assert inside == {
        _DEB.address: ["/usr/lib/libc.so.6"],
        _OWN.address: ["/usr/lib/__pycache__/x.pyc", "/usr/lib/x.py"],
    }
    assert found["metadata"]["component"]["version"] == _OWN.version
    assert found["dependencies"] == [{"ref": "image", "dependsOn": [_DEB.address, _OWN.address]}]


def test_each_file_of_the_card_stands_in_the_component_it_is_from() -> None:
    inside = {part.component.name: {file["name"] for file in part.files} for part in whole()}
    assert "card:config.txt" in inside["undercroft"]
    assert inside["linux"] == {"card:kernel8.img", "card:pi4-usb.dtb"}
    assert inside["firmware"] == {"card:start4.elf"}


def test_hashes_licences_and_sources_are_told() -> None:
    by_name = {one["name"]: one for one in read(whole())["components"]}
    assert by_name["libc6"]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert by_name["libc6"]["licenses"] == [{"license": {"name": "LGPL-2.1+"}}]
    assert by_name["linux"]["licenses"] == [{"expression": "GPL-2.0-only"}]
    assert by_name["linux"]["properties"] == [{"name": "undercroft:command-line", "value": "quiet"}]
    assert {one["name"]: one["type"] for one in by_name.values()} == {
        "libc6": "library", "undercroft": "application", "linux": "operating-system", "firmware": "firmware",
    }  # fmt: skip
    compiled = by_name["undercroft"]["components"][0]
    assert {"name": "undercroft:compiled-from", "value": "/usr/lib/x.py"} in compiled["properties"]
    assert {"name": "undercroft:path", "value": "appliance/x.py"} in compiled["properties"]


def test_mishap_a_component_without_a_licence_fails_the_build() -> None:
    with pytest.raises(ImageError, match="libc6 does not say under which licence"):
        bill([Part(replace(_DEB, licenses=()))], [])


def test_every_reference_is_there_once() -> None:
    found = refs(read(whole()))
    assert len(found) == len(set(found)) == 13


def test_the_bill_is_the_same_in_whatever_order_files_are_found() -> None:
    turned = dict(reversed(_ORIGINS.items())), dict(reversed(_HASHES.items()))
    assert bill(parts_of_root(*turned), []) == bill(parts_of_root(_ORIGINS, _HASHES), [])


def test_its_number_follows_from_what_is_in_it() -> None:
    one, other = read(whole()), read(whole()[1:])
    assert re.fullmatch(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", one["serialNumber"])
    assert one["serialNumber"] == read(whole())["serialNumber"] != other["serialNumber"]
    assert one["metadata"]["timestamp"] == "2026-01-01T00:00:00Z"


def test_attack_a_file_that_is_accounted_for_by_nothing_fails_the_build() -> None:
    with pytest.raises(ImageError, match=r"/usr/bin/sh traces to no package, wheel or source"):
        parts_of_root(_ORIGINS, {**_HASHES, "usr/bin/sh": "9" * 64})


def test_attack_a_file_with_other_bytes_than_its_package_has_fails_the_build() -> None:
    with pytest.raises(ImageError, match=r"/usr/lib/libc\.so\.6 traces to no package"):
        parts_of_root(_ORIGINS, {**_HASHES, "usr/lib/libc.so.6": "9" * 64})


def test_a_file_that_is_listed_and_not_there_fails_the_build() -> None:
    with pytest.raises(ImageError, match="/etc/gone is listed"):
        parts_of_root({**_ORIGINS, "etc/gone": Origin(_OWN, "x", "4" * 64)}, _HASHES)


def test_files_of_the_card_trace_to_a_source_or_fail_the_build() -> None:
    ours = {"5" * 64: IMAGES / "board" / "config.txt", "6" * 64: IMAGES / "board" / "board.dts"}
    assert trace("config.txt", "5" * 64, ours) == {"path": "images/board/config.txt"}
    for name in ("board.dtb", "board-usb.dtb"):
        assert trace(name, "7" * 64, ours)["built-from"].startswith("images/board/board.dts")
    assert "root" in trace("kernel8.img", "8" * 64, ours)["built-from"]
    for name in ("config.txt", "other.dtb", "overlay.dtbo", "start4.elf", "kernel7.img"):
        with pytest.raises(ImageError, match="traces to no package"):
            trace(name, "9" * 64, ours)
