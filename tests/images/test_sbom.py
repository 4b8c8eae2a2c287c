"""The bill of materials: every file has its place in it, and nothing else has."""

from __future__ import annotations

import json
from typing import Any

import pytest

from undercroft_images.errors import ImageError
from undercroft_images.ingredients import Component
from undercroft_images.places import IMAGES
from undercroft_images.rootfs import Origin
from undercroft_images.sbom import bill_of_root, trace

_DEB = Component("libc6", "2.41-12", "pkg:deb/debian/libc6@2.41-12?arch=arm64", "a" * 64, ("LGPL-2.1+",))
_OWN = Component("undercroft", "0.1.0", "pkg:generic/undercroft@0.1.0", None, (), "MIT")
_ORIGINS = {
    "usr/lib/libc.so.6": Origin(_DEB, "usr/lib/aarch64-linux-gnu/libc.so.6", "1" * 64),
    "usr/lib/x.py": Origin(_OWN, "appliance/x.py", "2" * 64),
    "usr/lib/__pycache__/x.pyc": Origin(_OWN, "appliance/x.py", "3" * 64, made_from="usr/lib/x.py"),
}
_HASHES = {name: origin.sha256 for name, origin in _ORIGINS.items()}


def refs(part: Any) -> list[str]:
    """Every bom-ref of a bill."""
    if isinstance(part, dict):
        own = [part["bom-ref"]] if "bom-ref" in part else []
        return own + [ref for value in part.values() for ref in refs(value)]
    return [ref for value in part for ref in refs(value)] if isinstance(part, list) else []


def test_each_file_stands_in_the_component_it_came_with() -> None:
    bill = bill_of_root(_ORIGINS, _HASHES)
    assert (bill["bomFormat"], bill["specVersion"], bill["version"]) == ("CycloneDX", "1.5", 1)
    inside = {one["purl"]: [file["name"] for file in one["components"]] for one in bill["components"]}
    assert inside == {
        _DEB.address: ["/usr/lib/libc.so.6"],
        _OWN.address: ["/usr/lib/__pycache__/x.pyc", "/usr/lib/x.py"],
    }
    assert bill["metadata"]["component"]["version"] == "0.1.0"


def test_hashes_licences_and_sources_are_told() -> None:
    by_name = {one["name"]: one for one in bill_of_root(_ORIGINS, _HASHES)["components"]}
    assert by_name["libc6"]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert by_name["libc6"]["licenses"] == [{"license": {"name": "LGPL-2.1+"}}]
    assert by_name["undercroft"]["licenses"] == [{"expression": "MIT"}]
    compiled = by_name["undercroft"]["components"][0]
    assert {"name": "undercroft:compiled-from", "value": "/usr/lib/x.py"} in compiled["properties"]
    assert {"name": "undercroft:path", "value": "appliance/x.py"} in compiled["properties"]


def test_every_reference_is_there_once() -> None:
    found = refs(bill_of_root(_ORIGINS, _HASHES))
    assert len(found) == len(set(found)) == 6


def test_the_bill_is_the_same_in_whatever_order_files_are_found() -> None:
    turned = dict(reversed(_ORIGINS.items())), dict(reversed(_HASHES.items()))
    assert json.dumps(bill_of_root(*turned)) == json.dumps(bill_of_root(_ORIGINS, _HASHES))


def test_attack_a_file_that_is_accounted_for_by_nothing_fails_the_build() -> None:
    with pytest.raises(ImageError, match=r"/usr/bin/sh traces to no package, wheel or source"):
        bill_of_root(_ORIGINS, {**_HASHES, "usr/bin/sh": "9" * 64})


def test_attack_a_file_with_other_bytes_than_its_package_has_fails_the_build() -> None:
    with pytest.raises(ImageError, match=r"/usr/lib/libc\.so\.6 traces to no package"):
        bill_of_root(_ORIGINS, {**_HASHES, "usr/lib/libc.so.6": "9" * 64})


def test_a_file_that_is_listed_and_not_there_fails_the_build() -> None:
    with pytest.raises(ImageError, match="/etc/gone is listed"):
        bill_of_root({**_ORIGINS, "etc/gone": Origin(_OWN, "x", "4" * 64)}, _HASHES)


def test_files_of_the_card_trace_to_a_source_or_fail_the_build() -> None:
    ours = {"5" * 64: IMAGES / "board" / "config.txt", "6" * 64: IMAGES / "board" / "board.dts"}
    assert trace("config.txt", "5" * 64, ours) == {"path": "images/board/config.txt"}
    for name in ("board.dtb", "board-usb.dtb"):
        assert trace(name, "7" * 64, ours)["built-from"].startswith("images/board/board.dts")
    assert "root" in trace("kernel8.img", "8" * 64, ours)["built-from"]
    for name in ("config.txt", "other.dtb", "overlay.dtbo", "start4.elf"):
        with pytest.raises(ImageError, match="traces to no package"):
            trace(name, "9" * 64, ours)
