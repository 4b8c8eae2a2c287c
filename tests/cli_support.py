"""The command line, run in the test's process on a home folder with test keys."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

import message_examples as examples
from scripted_appliance import ScriptedAppliance
from undercroft_host.cli.main import cli
from undercroft_host.cli.options import Options
from undercroft_host.errors import ApplianceUnplugged
from undercroft_host.store.engine import Store

SEEDS = (bytes(examples.VAULT), bytes(examples.RISK))


@dataclass
class Line:
    """The command line on one home folder; ``appliances`` by the link they hang on."""

    home: Path
    appliances: dict[str, ScriptedAppliance] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def run(self, *arguments: str, code: int = 0) -> Result:
        """Run one command and check its exit code."""
        result = CliRunner().invoke(cli, ["--home", str(self.home), *arguments], obj=Options(environment={}))
        self.said += [result.stdout, result.stderr]
        if result.exit_code != code:
            raise AssertionError(f"{arguments}: exit code {result.exit_code}, not {code}\n{result.output}")
        return result

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run one command with --json; its one value on stdout."""
        return json.loads(self.run(*arguments, "--json", code=code).stdout)

    def error(self, *arguments: str, code: int) -> dict[str, str]:
        """Run one command with --json that must fail; its one error on stderr."""
        result = self.run(*arguments, "--json", code=code)
        found: dict[str, str] = json.loads(result.stderr.splitlines()[-1])["error"]
        return found

    def open(self, link: str, *_: object, **__: object) -> ScriptedAppliance:
        if link not in self.appliances:
            raise ApplianceUnplugged(link)
        return self.appliances[link]

    def store(self) -> Store:
        """The database, for a test to look into."""
        return Store.open(f"sqlite:///{self.home / 'undercroft.db'}")
