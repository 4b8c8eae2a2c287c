"""Accounts of customers, and our addresses: each index is used once."""

from __future__ import annotations

import re
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.address import parse_address
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.errors import AddressError
from undercroft_protocol.messages import Quorum

from ..clock import Clock
from ..errors import AccountUnknown, AddressInvalid, NameInvalid, QuorumUnknown
from ..store import audit
from ..store.tables import Account, Address, QuorumRecord

RECEIVE: Final = 0
CHANGE: Final = 1

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,39}", re.ASCII)


def checked_name(text: str) -> str:
    """The text, if it can name an account or a withdrawal; raises NameInvalid."""
    # Attack: names with spaces, invisible or right-to-left characters that look like another name on a screen.
    if not _NAME.fullmatch(text):
        raise NameInvalid(repr(text[:60]))
    return text


def open_account(session: Session, name: str, *, clock: Clock) -> Account:
    """Open a customer's account; one that is open already stays as it is. Raises NameInvalid."""
    account = session.get(Account, checked_name(name))
    if account is None:
        account = Account(name=name, opened=clock())
        session.add(account)
        session.flush()
        audit.record(session, clock=clock, action="open-account", subject=name, facts={})
    return account


def find_account(session: Session, name: str) -> Account:
    """The account; raises AccountUnknown."""
    account = session.get(Account, name)
    if account is None:
        raise AccountUnknown(repr(name[:60]), hint="open it first: undercroft account open NAME")
    return account


def issue_address(session: Session, quorum: Quorum, account_name: str, *, clock: Clock) -> Address:
    """A fresh deposit address for an account. Raises AccountUnknown, QuorumUnknown."""
    account = find_account(session, account_name)
    address = _next_address(session, quorum, RECEIVE, account.name, clock)
    audit.record(
        session,
        clock=clock,
        action="issue-address",
        subject=address.text,
        facts={"account": account.name, "index": address.index},
    )
    return address


def change_address(session: Session, quorum: Quorum, *, clock: Clock) -> Address:
    """A fresh change address. Raises QuorumUnknown."""
    return _next_address(session, quorum, CHANGE, None, clock)


def payable_script(address: str, network: Network) -> bytes:
    """The locking script of an address. Raises AddressInvalid, which says what is wrong with it."""
    try:
        return parse_address(address, network)
    except AddressError as error:
        raise AddressInvalid(f"{address[:100]!r}: {error.detail}") from None


def highest_index(session: Session, quorum_id: bytes, branch: int) -> int:
    """The last index given out on a branch, -1 for none."""
    found = session.scalar(
        select(func.max(Address.index)).where(Address.quorum_id == quorum_id, Address.branch == branch)
    )
    return -1 if found is None else int(found)


def _next_address(session: Session, quorum: Quorum, branch: int, account: str | None, clock: Clock) -> Address:
    if session.get(QuorumRecord, quorum.id) is None:
        raise QuorumUnknown(quorum.code)
    index = highest_index(session, quorum.id, branch) + 1
    descriptor = quorum.descriptor()
    address = Address(
        script=descriptor.script(branch, index),
        quorum_id=quorum.id,
        branch=branch,
        index=index,
        text=descriptor.address(branch, index),
        account=account,
        issued=clock(),
    )
    session.add(address)
    session.flush()
    return address
