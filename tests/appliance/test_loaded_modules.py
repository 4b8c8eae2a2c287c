"""What the processes of an appliance load before they are ready: each imports for itself, and on a small processor that
is most of a start. What a process never loads it also has no hole from."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_PROGRAM = """
import importlib, json, sys
before = set(sys.modules)
importlib.import_module(sys.argv[1])
print(json.dumps(sorted(set(sys.modules) - before)))
"""
_KEYS = frozenset({"argon2", "coincurve", "nacl"})
"""The libraries that handle keys."""
_MESSAGES = frozenset({"undercroft_protocol.cose", "undercroft_protocol.messages"})
_CAMERA = frozenset({"undercroft_protocol.qr.camera", "zxingcpp"})
_UNWANTED = {
    "boot": _KEYS | _MESSAGES | _CAMERA | {"lzma", "undercroft_protocol.codec"},
    "panel": _KEYS | _MESSAGES | _CAMERA | {"lzma", "serial", "undercroft_protocol.serial"},
    "port": _KEYS | _MESSAGES | _CAMERA,
    "keeper": _CAMERA | {"serial", "tomllib", "undercroft_protocol.serial"},
}


def _loaded(module: str) -> frozenset[str]:
    """The modules that a new interpreter loads for this one."""
    command = [sys.executable, "-c", _PROGRAM, module]
    return frozenset(json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout))


@pytest.mark.parametrize("process", _UNWANTED)
def test_a_process_loads_nothing_that_is_not_its_own(process: str) -> None:
    loaded = _loaded(f"undercroft_appliance.{process}.__main__")
    assert "undercroft_appliance.errors" in loaded
    assert sorted(_UNWANTED[process] & loaded) == []
