"""From typed values to deterministic CBOR and back.

A message is a frozen dataclass. On the wire it is a map from the field's number (its place in the class, from 1) to the
field's value; a field that is None is left out. Values are checked against their declared type and bounds
when they are made, so that a message which exists is a message that may be sent.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Hashable, Mapping
from typing import Annotated, Any, TypeVar, cast

from . import cbor
from .errors import MessageError
from .fields import Range, Size

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class _Field:
    name: str
    number: int
    base: Any
    bounds: Size | Range | None
    item: _Field | None
    optional: bool


class Value:
    """Base of all messages and of the values inside them: checks itself when it is made."""

    __slots__ = ()

    def __post_init__(self) -> None:
        for field in fields_of(type(self)):
            _check(field, getattr(self, field.name), f"{type(self).__name__}.{field.name}")
        self.check()

    def check(self) -> None:
        """Rules that span several fields; raises MessageError. Overridden where there are any."""

    def to_bytes(self) -> bytes:
        """The deterministic CBOR of this value."""
        return cbor.encode(to_plain(self))

    @classmethod
    def from_bytes(cls: type[T], data: bytes) -> T:
        """Read what ``to_bytes`` wrote; raises CborError or MessageError."""
        return from_plain(cls, cbor.decode(data))


def fields_of(kind: type[Any]) -> tuple[_Field, ...]:
    """The fields of a message class in the order of their numbers."""
    return _fields_of(cast(Hashable, kind))


@functools.cache
def _fields_of(kind: Any) -> tuple[_Field, ...]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return tuple(
        _field(field.name, number, hints[field.name]) for number, field in enumerate(dataclasses.fields(kind), start=1)
    )


def _field(name: str, number: int, hint: Any) -> _Field:
    optional = False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(hint) if option is not type(None)]
        if len(options) != 1:
            raise TypeError(f"{name}: one type, or one type and None")
        hint, optional = options[0], True
    bounds: Size | Range | None = None
    if typing.get_origin(hint) is Annotated:
        hint, bounds = typing.get_args(hint)[:2]
    item = None
    if typing.get_origin(hint) is tuple:
        item = _field(f"{name}[]", 0, typing.get_args(hint)[0])
        hint = tuple
    return _Field(name, number, hint, bounds, item, optional)


def _check(field: _Field, value: object, where: str) -> None:
    if value is None and field.optional:
        return
    # bool is an int in Python; a flag in the place of an amount must not pass as 1 satoshi.
    if not isinstance(value, field.base) or (isinstance(value, bool) and field.base is not bool):
        raise MessageError(f"{where}: {type(value).__name__} where {field.base.__name__} belongs")
    if isinstance(field.bounds, Range):
        number = cast(int, value)
        if not field.bounds.least <= number <= field.bounds.most:
            raise MessageError(f"{where}: {number} is not within {field.bounds.least}..{field.bounds.most}")
    if isinstance(field.bounds, Size):
        length = len(cast("bytes | str | tuple[object, ...]", value))
        if not field.bounds.least <= length <= field.bounds.most:
            raise MessageError(f"{where}: length {length} is not within {field.bounds.least}..{field.bounds.most}")
    # Names and texts reach an owner's screen: characters that move, hide or turn text could make it lie.
    if isinstance(value, str) and not (value.isascii() and value.isprintable()):
        raise MessageError(f"{where}: text must be printable ASCII")
    if field.item is not None:
        for position, item in enumerate(cast("tuple[object, ...]", value)):
            _check(field.item, item, f"{where}[{position}]")


def to_plain(value: object) -> cbor.Plain:
    """A message as plain CBOR values."""
    if isinstance(value, Value):
        parts = ((field.number, getattr(value, field.name)) for field in fields_of(type(value)))
        return {number: to_plain(part) for number, part in parts if part is not None}
    if isinstance(value, tuple):
        return tuple(to_plain(item) for item in value)
    return cast("cbor.Plain", value)


def from_plain(kind: type[T], plain: cbor.Plain) -> T:
    """A message of class ``kind`` from plain values; raises MessageError, naming the field."""
    if not isinstance(plain, Mapping):
        raise MessageError(f"{kind.__name__}: not a map")
    known = {field.number: field for field in fields_of(kind)}
    # A field that we do not know may change the meaning of those we know.
    unknown = sorted(set(plain) - set(known))
    if unknown:
        raise MessageError(f"{kind.__name__}: unknown field {unknown[0]}")
    arguments: dict[str, object] = {}
    for number, field in known.items():
        if number in plain:
            arguments[field.name] = _read(field, plain[number], f"{kind.__name__}.{field.name}")
        elif field.optional:
            arguments[field.name] = None
        else:
            raise MessageError(f"{kind.__name__}: field {number} ({field.name}) is missing")
    return kind(**arguments)


def _read(field: _Field, plain: cbor.Plain, where: str) -> object:
    if plain is None:
        raise MessageError(f"{where}: null; a field without a value is left out")
    if field.item is not None:
        if not isinstance(plain, tuple):
            raise MessageError(f"{where}: not an array")
        # The bound comes first: a million entries are refused before the first is read.
        if isinstance(field.bounds, Size) and len(plain) > field.bounds.most:
            raise MessageError(f"{where}: {len(plain)} entries, {field.bounds.most} is the most")
        return tuple(_read(field.item, item, f"{where}[{at}]") for at, item in enumerate(plain))
    if isinstance(field.base, type) and issubclass(field.base, Value):
        return from_plain(field.base, plain)
    return plain
