"""What every command works with: the home folder, the store, the keys, the node, and how to answer."""

from __future__ import annotations

import functools
import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import click

from undercroft_protocol.link import Link
from undercroft_protocol.messages import Quorum

from ..clock import Clock, system_clock
from ..config import Config, QrDesk, home_folder, load_config
from ..custody.quorum import active_quorum
from ..desk.links import open_link
from ..desk.talk import ApplianceSession
from ..errors import NotInitialised
from ..gateway.rpc import NodeRpc
from ..keys import FileSigner, load_key
from ..link_text import QrText, parse_link
from ..store.engine import Store
from .live import LiveLine
from .options import Options
from .output import Data, render

P = ParamSpec("P")
R = TypeVar("R")

_MOST_ACTOR = 80


class App:
    """One run of the program. Everything in it is made when it is first needed."""

    def __init__(self, options: Options, *, clock: Clock, entropy: Callable[[int], bytes]) -> None:
        self.options = options
        self.clock = clock
        self.entropy = entropy

    @cached_property
    def home(self) -> Path:
        """The home folder."""
        return home_folder(self.options.home, self.options.environment)

    @cached_property
    def config(self) -> Config:
        """What the home folder says; raises as ``load_config``."""
        return load_config(self.home)

    @cached_property
    def actor(self) -> str:
        """Who acts, for the audit log: the user as the system knows it, not as the environment says."""
        try:
            name = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            name = str(os.getuid())
        return f"operator:{name}"[:_MOST_ACTOR]

    @cached_property
    def store(self) -> Store:
        """The database."""
        return Store.open(self.config.database_url)

    @cached_property
    def node(self) -> NodeRpc:
        """The Bitcoin node."""
        return NodeRpc(self.config.rpc_url, self.config.rpc_cookie)

    def vault_signer(self) -> FileSigner:
        """The vault's key, which speaks to the appliances."""
        return load_key(self.config.vault_key, self.config.vault_public_key)

    def risk_signer(self) -> FileSigner:
        """The risk service's key, for ``undercroft risk run`` only."""
        return load_key(self.config.risk_key, self.config.risk_public_key)

    def quorum(self) -> Quorum:
        """The quorum in force; raises NotFound."""
        with self.store.read() as session:
            return active_quorum(session)

    @cached_property
    def line(self) -> LiveLine:
        """Where it is told how far something is."""
        return LiveLine()

    @cached_property
    def qr_desk(self) -> QrDesk:
        """This host's camera and screen; those that every machine has where there is no home."""
        try:
            return self.config.qr
        except NotInitialised:
            return QrDesk()

    @contextmanager
    def talk(self, name: str, quorum_id: bytes | None) -> Iterator[ApplianceSession]:
        """A conversation with an appliance over its link, or that of ``--link``; raises as ``ApplianceSession``."""
        signer = self.vault_signer()
        with (
            self.line,
            ApplianceSession(
                self.store,
                self.actor,
                name,
                signer,
                self.clock,
                quorum_id=quorum_id,
                link=self.options.link,
                opener=self.open_link,
            ) as talk,
        ):
            yield talk

    def open_link(self, text: str) -> Link:
        """Open a link; how far it is is told on stderr. Raises LinkInvalid, ApplianceUnplugged."""
        meant = parse_link(text)
        shows_codes = isinstance(meant, QrText) and self.line.is_on(meant.screen or self.qr_desk.screen)
        # On the terminal that shows the codes a line would stand in their way.
        return open_link(text, self.qr_desk, watch=None if shows_codes else self.line.say, moved=self.line.moved)

    def put(self, data: Data, *, text: str | None = None) -> None:
        """The command's answer, on stdout: one JSON value, or for people ``text`` or tables."""
        render(data, as_json=self.options.json, text=text)

    def note(self, line: str) -> None:
        """Something beside the answer, on stderr."""
        self.line.end()
        click.echo(line, err=True)

    def close(self) -> None:
        """Give the database back."""
        if "store" in self.__dict__:
            self.store.close()


def pass_app(command: Callable[Concatenate[App, P], R]) -> Callable[P, R]:
    """Give the command an App as its first argument, and close it afterwards."""

    @functools.wraps(command)
    def wrapped(*arguments: P.args, **options: P.kwargs) -> R:
        options_given = click.get_current_context().ensure_object(Options)
        app = App(options_given, clock=system_clock, entropy=os.urandom)
        try:
            return command(app, *arguments, **options)
        finally:
            app.close()

    return wrapped
