"""The appliances that this host can reach, and over which line."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..clock import Clock
from ..errors import ApplianceState, ApplianceUnknown, Conflict, LinkInvalid
from ..store import audit
from ..store.tables import Appliance
from ..vault.addresses import checked_name

SERIAL: Final = "serial:"

_MAX_LINK_CHARACTERS: Final = 255


def serial_path(link: str) -> str:
    """The device path of a link ``serial:/dev/…``; LinkInvalid for any other carrier."""
    path = link.removeprefix(SERIAL)
    # socket://, rfc2217://, tcp: and the like would put a network between host and appliance: a serial line is none.
    if path == link or "://" in path or not PurePosixPath(path).is_absolute():
        raise LinkInvalid(repr(link))
    if len(link) > _MAX_LINK_CHARACTERS or not link.isprintable():
        raise LinkInvalid("the path of the link is too long or cannot be printed")
    return path


def add_appliance(session: Session, name: str, link: str, *, clock: Clock) -> Appliance:
    """Note an appliance and its line. The same again changes nothing; Conflict for the name with another line."""
    serial_path(link)
    known = session.get(Appliance, checked_name(name))
    if known is not None:
        if known.link != link:
            raise Conflict(f"appliance {name} is known with the link {known.link}")
        return known
    appliance = Appliance(name=name, link=link, identity=None, sequence=0, added=clock())
    session.add(appliance)
    session.flush()
    audit.record(session, clock=clock, action="add-appliance", subject=name, facts={"link": link})
    return appliance


def get_appliance(session: Session, name: str) -> Appliance:
    """One appliance by its name; ApplianceUnknown for a stranger."""
    appliance = session.get(Appliance, name)
    if appliance is None:
        known = ", ".join(sorted(session.scalars(select(Appliance.name)))) or "none"
        raise ApplianceUnknown(f"{name}; known: {known}")
    return appliance


def identity_of(appliance: Appliance) -> bytes:
    """The identity key (32 bytes) that an appliance declared; ApplianceState before it declared one."""
    if appliance.identity is None:
        raise ApplianceState(f"{appliance.name} has not declared a key", hint="undercroft quorum declare NAME")
    return appliance.identity


def list_appliances(session: Session) -> list[Appliance]:
    """All appliances by name."""
    return list(session.scalars(select(Appliance).order_by(Appliance.name)))
