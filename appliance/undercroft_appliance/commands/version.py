"""`undercroft-appliance version`."""

from __future__ import annotations

import argparse

from undercroft_appliance.firmware import firmware_hash

from . import EXIT_OK, Commands


def add_parser(commands: Commands) -> None:
    """Add `version` to the command line."""
    commands.add_parser("version", help="show the version and the firmware hash").set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Print the version and the firmware hash."""
    # Late: an appliance's image holds no descriptions of packages, and no module to read them.
    import importlib.metadata  # noqa: PLC0415

    try:
        version = importlib.metadata.version("undercroft-appliance")
    except importlib.metadata.PackageNotFoundError:
        version = "(not installed: run from its source)"
    print(f"undercroft-appliance {version}\nfirmware hash {firmware_hash().hex()}")
    return EXIT_OK
