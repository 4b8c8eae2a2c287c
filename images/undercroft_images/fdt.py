"""Reads a compiled device tree (flattened devicetree, Devicetree Specification 0.4 chapter 5), without libfdt."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from .errors import ImageError

_MAGIC: Final = 0xD00DFEED
_HEADER: Final = struct.Struct(">10I")
_LAST_COMPATIBLE: Final = 16
_BEGIN: Final = 1
_END: Final = 2
_PROPERTY: Final = 3
_NOTHING: Final = 4
_FINISH: Final = 9


@dataclass(frozen=True, slots=True)
class Node:
    """``path`` from the root ("/soc/serial@7e201000"); ``properties`` as bytes; ``children`` in the tree's order."""

    path: str
    properties: dict[str, bytes] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)

    def strings(self, name: str) -> tuple[str, ...]:
        """A property of NUL-terminated strings; none where it is missing."""
        return tuple(part.decode("ascii") for part in self.properties.get(name, b"").split(b"\0") if part)

    def cells(self, name: str) -> tuple[int, ...]:
        """A property of 32-bit numbers; none where it is missing. Raises ImageError for one of another length."""
        value = self.properties.get(name, b"")
        if len(value) % 4:
            raise ImageError(f"{self.path}: {name} is no list of 32-bit numbers")
        return struct.unpack(f">{len(value) // 4}I", value)

    @property
    def is_enabled(self) -> bool:
        """Whether this node itself is in use, leaving aside those above it (specification 2.3.4)."""
        return self.strings("status") in ((), ("okay",), ("ok",))

    def walk(self) -> Iterator[Node]:
        """This node and all below."""
        yield self
        for child in self.children:
            yield from child.walk()

    def enabled(self) -> Iterator[Node]:
        """This node and all below that a kernel makes devices of: none that is disabled, and nothing below one."""
        if self.is_enabled:
            yield self
            for child in self.children:
                yield from child.enabled()

    def at(self, path: str) -> Node:
        """The node at a path below this one, the root. Raises ImageError where there is none."""
        for node in self.walk():
            if node.path == path:
                return node
        raise ImageError(f"the device tree has no {path}")

    def handle(self, number: int) -> Node:
        """The node with this phandle. Raises ImageError where there is none."""
        for node in self.walk():
            if node.cells("phandle") == (number,):
                return node
        raise ImageError(f"the device tree has no node {number}")


def read(data: bytes) -> Node:
    """The root node. Raises ImageError for what is no device tree."""
    try:
        magic, total, structure, strings, _, version, oldest, _, _, length = _HEADER.unpack_from(data)
        if magic != _MAGIC or total != len(data) or version < oldest or oldest > _LAST_COMPATIBLE + 1:
            raise ImageError("no flattened device tree")
        return _Reader(data[structure : structure + length], data[strings:]).root()
    except (struct.error, ValueError, IndexError) as error:
        raise ImageError(f"the device tree is damaged ({error})") from error


class _Reader:
    def __init__(self, structure: bytes, names: bytes) -> None:
        self._structure = structure
        self._names = names
        self._offset = 0

    def root(self) -> Node:
        if self._token() != _BEGIN or self._text() != "":
            raise ValueError("no root node")
        root = self._node("")
        if self._token() != _FINISH:
            raise ValueError("something follows the root node")
        return root

    def _node(self, path: str) -> Node:
        node = Node(path or "/")
        while (token := self._token()) != _END:
            if token == _PROPERTY:
                length, name = self._number(), self._number()
                value = self._take(length)
                node.properties[self._names[name : self._names.index(b"\0", name)].decode("ascii")] = value
            elif token == _BEGIN:
                node.children.append(self._node(f"{path}/{self._text()}"))
            else:
                raise ValueError(f"token {token} inside a node")
        return node

    def _token(self) -> int:
        while (token := self._number()) == _NOTHING:
            pass
        return token

    def _number(self) -> int:
        return int.from_bytes(self._take(4), "big")

    def _text(self) -> str:
        end = self._structure.index(b"\0", self._offset)
        return self._take(end + 1 - self._offset)[:-1].decode("ascii")

    def _take(self, length: int) -> bytes:
        """The next bytes, and past the padding to a multiple of four."""
        taken = self._structure[self._offset : self._offset + length]
        if len(taken) != length:
            raise ValueError("it ends too early")
        self._offset += -(-length // 4) * 4
        return taken
