"""The home folder: ``undercroft.toml``, the key files, the rule set and, by default, the database.

The folder has mode 0700 and the file 0600; both are checked at each start, because whoever may write them chooses which
node and which database the host believes.
"""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from undercroft_protocol.bitcoin.network import Network

from .errors import ConfigurationProblem, Conflict, NotInitialised
from .keys import create_key

HOME_VARIABLE: Final = "UNDERCROFT_HOME"
FILE_NAME: Final = "undercroft.toml"
RULES_NAME: Final = "risk.toml"
DEFAULT_WALLET: Final = "undercroft"
DEFAULT_SETTLE_CONFIRMATIONS: Final = 2

_VAULT_KEY: Final = "vault/vault.key"
_RISK_KEY: Final = "risk/risk.key"
_PUBLIC_KEY_HEX: Final = 64


@dataclass(frozen=True, slots=True)
class QrDesk:
    """The camera and the screen of this host (see `protocol.qr.camera`, `.screen`), and how it shows codes."""

    camera: str = "/dev/video0"
    screen: str = "/dev/tty"
    version: int = 20
    codes: int = 1
    pictures_per_second: int = 10


_QR_RANGES: Final = {"version": (5, 40), "codes": (1, 12), "pictures_per_second": (1, 60)}


@dataclass(frozen=True, slots=True)
class Config:
    """What the home folder says. ``settle_confirmations``: blocks after which a payment counts as final."""

    home: Path
    network: Network
    database_url: str
    rpc_url: str
    rpc_cookie: Path
    rpc_wallet: str
    settle_confirmations: int
    vault_key: Path
    risk_key: Path
    vault_public_key: bytes
    risk_public_key: bytes
    qr: QrDesk

    @property
    def rules_file(self) -> Path:
        return self.home / RULES_NAME


def home_folder(option: str | None, environment: Mapping[str, str]) -> Path:
    """The folder by option, else by UNDERCROFT_HOME, else ``~/.local/share/undercroft`` (XDG_DATA_HOME is heeded)."""
    chosen = option or environment.get(HOME_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    data = environment.get("XDG_DATA_HOME") or "~/.local/share"
    return (Path(data).expanduser() / "undercroft").absolute()


def create_home(
    home: Path,
    *,
    network: Network,
    rpc_url: str,
    rpc_cookie: Path,
    database_url: str | None,
    rules_text: str,
    entropy: Callable[[int], bytes],
) -> Config:
    """Make the folder, both keys, the default rule set and, last, the configuration.

    Raises Conflict when there is a configuration already, ConfigurationProblem for URLs that hold a password.
    """
    file = home / FILE_NAME
    if file.exists():
        raise Conflict(f"{file} exists already")
    _check_node_url(rpc_url)
    if database_url is not None:
        _check_database_url(database_url)
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_mode(home, 0o700)
    vault = create_key(home / _VAULT_KEY, entropy)
    risk = create_key(home / _RISK_KEY, entropy)
    _write_new(home / RULES_NAME, rules_text)
    lines = [
        f"network = {_quoted(network.value)}",
        f"settle_confirmations = {DEFAULT_SETTLE_CONFIRMATIONS}",
        "",
        "[node]",
        f"url = {_quoted(rpc_url)}",
        f"cookie = {_quoted(str(rpc_cookie.expanduser().absolute()))}",
        f"wallet = {_quoted(DEFAULT_WALLET)}",
        "",
        "[keys]",
        f"vault = {_quoted(_VAULT_KEY)}",
        f"risk = {_quoted(_RISK_KEY)}",
        f"vault_public = {_quoted(vault.public_key.hex())}",
        f"risk_public = {_quoted(risk.public_key.hex())}",
    ]
    if database_url is not None:
        lines += ["", "[database]", f"url = {_quoted(database_url)}"]
    _write_new(file, "\n".join(lines) + "\n")
    return load_config(home)


def load_config(home: Path) -> Config:
    """Read and check ``undercroft.toml``.

    Raises NotInitialised without one, ConfigurationProblem for modes that let others in and for any entry that is
    missing, unknown or of the wrong kind.
    """
    file = home / FILE_NAME
    if not file.exists():
        raise NotInitialised(str(file))
    _check_mode(home, 0o700)
    _check_mode(file, 0o600)
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationProblem(f"{file}: {error}") from None
    return _read(home, file, document)


def _read(home: Path, file: Path, document: Mapping[str, Any]) -> Config:
    top = _Table(file, "", document, {"network", "settle_confirmations", "node", "keys"}, {"database", "qr"})
    node = _Table(file, "node.", top.table("node"), {"url", "cookie", "wallet"})
    keys = _Table(file, "keys.", top.table("keys"), {"vault", "risk", "vault_public", "risk_public"})
    database = _Table(file, "database.", top.table("database"), {"url"}) if "database" in document else None
    confirmations = top.number("settle_confirmations", 1, 1000)
    try:
        network = Network(top.text("network"))
    except ValueError:
        names = ", ".join(one.value for one in Network)
        raise ConfigurationProblem(f"{file}: network must be one of {names}") from None
    _check_node_url(node.text("url"))
    return Config(
        home=home,
        network=network,
        database_url=database.text("url") if database else f"sqlite:///{home / 'undercroft.db'}",
        rpc_url=node.text("url"),
        rpc_cookie=Path(node.text("cookie")),
        rpc_wallet=node.text("wallet"),
        settle_confirmations=confirmations,
        vault_key=home / keys.text("vault"),
        risk_key=home / keys.text("risk"),
        vault_public_key=keys.public_key("vault_public"),
        risk_public_key=keys.public_key("risk_public"),
        qr=_read_qr(file, top.table("qr")) if "qr" in document else QrDesk(),
    )


def _read_qr(file: Path, entries: Mapping[str, Any]) -> QrDesk:
    texts = {"camera", "screen"}
    table = _Table(file, "qr.", entries, set(), texts | set(_QR_RANGES))
    given: dict[str, Any] = {name: table.text(name) for name in sorted(texts & set(entries))}
    for name, (least, most) in _QR_RANGES.items():
        if name in entries:
            given[name] = table.number(name, least, most)
    # Attack: a camera that is a network stream puts a network between host and appliance.
    if any("://" in given.get(name, "") for name in texts):
        raise ConfigurationProblem(f"{file}: qr.camera and qr.screen are devices of this machine, no URLs")
    return QrDesk(**given)


class _Table:
    """One table of the file: its entries are exactly those named."""

    def __init__(
        self, file: Path, prefix: str, entries: Mapping[str, Any], needed: set[str], allowed: set[str] | None = None
    ) -> None:
        self._file, self._prefix, self._entries = file, prefix, entries
        for name in sorted(needed - set(entries)):
            raise ConfigurationProblem(f"{file}: {prefix}{name} is missing")
        # A misspelt entry would silently leave a default in force.
        for name in sorted(set(entries) - needed - (allowed or set())):
            raise ConfigurationProblem(f"{file}: {prefix}{name} is not known")

    def text(self, name: str) -> str:
        value = self._entries[name]
        if not isinstance(value, str) or not value:
            raise ConfigurationProblem(f"{self._file}: {self._prefix}{name} must be text")
        return value

    def number(self, name: str, least: int, most: int) -> int:
        value = self._entries[name]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ConfigurationProblem(f"{self._file}: {self._prefix}{name} must be a number from {least} to {most}")
        return value

    def table(self, name: str) -> Mapping[str, Any]:
        value = self._entries[name]
        if not isinstance(value, dict):
            raise ConfigurationProblem(f"{self._file}: [{name}] must be a table")
        return value

    def public_key(self, name: str) -> bytes:
        text = self.text(name)
        if len(text) != _PUBLIC_KEY_HEX or not set(text) <= set("0123456789abcdef"):
            raise ConfigurationProblem(f"{self._file}: {self._prefix}{name} must be {_PUBLIC_KEY_HEX} hex digits")
        return bytes.fromhex(text)


def _check_node_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ConfigurationProblem("the node's URL must be http://HOST:PORT")
    # A password on a command line or in this file is read by every process list and every backup.
    if parts.username or parts.password:
        raise ConfigurationProblem("the node's URL must not hold a user or password; name its cookie file")


def _check_database_url(url: str) -> None:
    if "://" not in url:
        raise ConfigurationProblem("the database must be a URL, such as postgresql+psycopg://HOST/NAME")
    if urlsplit(url).password:
        raise ConfigurationProblem("the database's URL must not hold a password; use ~/.pgpass")


def _check_mode(path: Path, wanted: int) -> None:
    facts = path.stat()
    # Whoever else can write here chooses the node, the database and the rules; whoever can read learns the customers.
    if facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o077:
        raise ConfigurationProblem(f"{path} must belong to you, with mode {wanted:04o} (chmod {wanted:o})")


def _write_new(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _quoted(text: str) -> str:
    """A TOML basic string."""
    if not text.isprintable():
        raise ConfigurationProblem("a path or URL holds characters that cannot be printed")
    return json.dumps(text, ensure_ascii=False)
