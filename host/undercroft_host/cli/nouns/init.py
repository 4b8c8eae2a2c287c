"""``undercroft init``."""

from __future__ import annotations

from pathlib import Path

import click

from undercroft_protocol.bitcoin.network import Network

from ...config import FILE_NAME, Config, create_home, load_config
from ...errors import Conflict, UsageProblem
from ...risk.ruleset import DEFAULT_RULES
from ..app import App, pass_app
from ..program import Verb

_NETWORKS = [network.value for network in Network]


@click.command("init", cls=Verb)
@click.option("--network", type=click.Choice(_NETWORKS), help="The Bitcoin network.")
@click.option("--rpc-url", metavar="URL", help="Where bitcoind listens: http://HOST:PORT")
@click.option("--rpc-cookie", metavar="PATH", type=click.Path(path_type=Path), help="bitcoind's cookie file.")
@click.option("--database", metavar="URL", help="The database, if not a SQLite file in the home folder.")
@pass_app
def command(app: App, network: str | None, rpc_url: str | None, rpc_cookie: Path | None, database: str | None) -> None:
    """Make the home folder with configuration, keys, rule set and database; again: bring the database up to date."""
    if (app.home / FILE_NAME).exists():
        config = load_config(app.home)
        _check_same(config, network, rpc_url, rpc_cookie, database)
    else:
        if network is None or rpc_url is None or rpc_cookie is None:
            raise UsageProblem("a new home needs --network, --rpc-url and --rpc-cookie")
        config = create_home(
            app.home,
            network=Network(network),
            rpc_url=rpc_url,
            rpc_cookie=rpc_cookie,
            database_url=database,
            rules_text=DEFAULT_RULES,
            entropy=app.entropy,
        )
    app.store.migrate()
    app.put(
        {
            "home": str(config.home),
            "network": config.network.value,
            "vault_key": config.vault_public_key.hex(),
            "risk_key": config.risk_public_key.hex(),
        }
    )


def _check_same(
    config: Config, network: str | None, rpc_url: str | None, rpc_cookie: Path | None, database: str | None
) -> None:
    given = {
        "network": (network, config.network.value),
        "rpc-url": (rpc_url, config.rpc_url),
        "rpc-cookie": (rpc_cookie and rpc_cookie.expanduser().absolute(), config.rpc_cookie),
        "database": (database, config.database_url),
    }
    for name, (wanted, known) in given.items():
        # A second init must not quietly leave another node or network in force than the one it was given.
        if wanted is not None and wanted != known:
            raise Conflict(
                f"{config.home / FILE_NAME} says {name} {known}", hint="edit that file, or use another --home"
            )
