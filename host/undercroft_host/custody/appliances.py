"""The appliances that this host can reach, and by which link."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from ..clock import Clock
from ..errors import ApplianceState, ApplianceUnknown, Conflict
from ..link_text import parse_link
from ..store import audit
from ..store.tables import Appliance
from ..vault.addresses import checked_name


def add_appliance(session: Session, name: str, link: str, *, clock: Clock) -> Appliance:
    """Note an appliance and its link (see `link_text`).

    The same again changes nothing. Raises LinkInvalid, Conflict for the name with another link.
    """
    parse_link(link)
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
