"""Write protocol/undercroft_protocol/schema.cddl (RFC 8610) from the message classes.

The classes are the one place where a field is declared; the schema says the same to people and programs that read no
Python. ``--check`` only compares, and fails when the file is behind the classes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from undercroft_protocol.codec import Value, fields_of
from undercroft_protocol.fields import Range, Size
from undercroft_protocol.messages.batch import Change, Coin, Output, TransactionRequest, Verdict
from undercroft_protocol.messages.envelope import Envelope
from undercroft_protocol.messages.log import ExactFacts, LogEntry
from undercroft_protocol.messages.log_file import LogPage
from undercroft_protocol.messages.policy import Anomaly, Hours, Policy, Window
from undercroft_protocol.messages.quorum import Owner, Quorum
from undercroft_protocol.messages.replies import REPLIES, ReplyHeader
from undercroft_protocol.messages.requests import REQUESTS, ApprovedPolicy, RequestHeader
from undercroft_protocol.messages.statements import STATEMENTS, Spent

SCHEMA = Path(__file__).resolve().parent.parent / "protocol/undercroft_protocol/schema.cddl"

VALUES: tuple[type[Value], ...] = (
    Owner, Quorum, Window, Hours, Anomaly, Policy, ApprovedPolicy, Envelope, Spent, Coin, Change, Output,
    TransactionRequest, Verdict, LogEntry, ExactFacts, LogPage,
)  # fmt: skip
HEADERS: tuple[type[Value], ...] = (RequestHeader, ReplyHeader)

HEAD = """\
; What Undercroft's host and appliances say to each other. Made by tools/make_schema.py from the message classes.
;
; On a link stands a COSE_Sign1 object (RFC 9052) over a payload of [header, body]; a statement is a COSE_Sign1 object
; over its body alone. Content types: "undercroft/1/request/NAME", "undercroft/1/reply/NAME" and
; "undercroft/1/statement/NAME".

signed-object = #6.18([protected: bstr, unprotected: {}, payload: bstr, signature: bstr .size 64])
protected-header = {1: -8, 3: tstr, 4: bstr .size 32}
request = [RequestHeader, request-body]
reply = [ReplyHeader, reply-body]
"""


def schema() -> str:
    """The whole schema as text."""
    parts = [HEAD]
    for title, rule, kinds in (
        ("values", None, VALUES),
        ("headers", None, HEADERS),
        ("requests: host to appliance", "request-body", REQUESTS),
        ("replies: appliance to host", "reply-body", REPLIES),
        ("statements: signed and passed on", "statement-body", STATEMENTS),
    ):
        parts.append(f"; {title}\n")
        if rule is not None:
            parts.append(f"{rule} = " + " / ".join(kind.__name__ for kind in kinds) + "\n")
        parts.extend(_rule(kind) for kind in kinds)
    return "\n".join(parts)


def _rule(kind: type[Value]) -> str:
    doc = (kind.__doc__ or "").strip().splitlines()[0]
    lines = [f"; {doc}", f"{kind.__name__} = {{"]
    for field in fields_of(kind):
        mark = "? " if field.optional else ""
        lines.append(f"  {mark}{field.number}: {_type(field)}, ; {field.name}")
    return "\n".join([*lines, "}", ""])


def _type(field: Any) -> str:
    if field.item is not None:
        return f"[{field.bounds.least}*{field.bounds.most} {_type(field.item)}]"
    if issubclass(field.base, Value):
        return str(field.base.__name__)
    if isinstance(field.bounds, Range):
        return f"{field.bounds.least}..{field.bounds.most}"
    if isinstance(field.bounds, Size):
        name = {bytes: "bstr", str: "tstr"}[field.base]
        least, most = field.bounds.least, field.bounds.most
        return f"{name} .size {most}" if least == most else f"{name} .size ({least}..{most})"
    return {bool: "bool", int: "int"}[field.base]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare only")
    if parser.parse_args().check:
        if SCHEMA.read_text(encoding="utf-8") != schema():
            sys.exit(f"{SCHEMA.name} is behind the message classes: run python tools/make_schema.py")
    else:
        SCHEMA.write_text(schema(), encoding="utf-8")


if __name__ == "__main__":
    main()
