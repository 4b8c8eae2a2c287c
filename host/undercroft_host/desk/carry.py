"""The desk beside an appliance: requests that somebody brought in a folder go to it, and its replies into the folder.

It holds no key and believes nothing: of a reply it looks at one thing, which request it answers, so that a late answer
to an earlier request is not put in the wrong place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.bitcoin.psbt_records import MAGIC, PsbtRecords
from undercroft_protocol.errors import FolderFileError, LinkDeadError, LinkError, LinkTimeoutError, ProtocolError
from undercroft_protocol.link import Link
from undercroft_protocol.link_folder import LinkFolder, Name
from undercroft_protocol.messages import open_reply

from ..errors import ApplianceSilent, UsageProblem
from ..psbt_text import MAX_PSBT_FILE_BYTES, decoded_psbt, encoded_psbt
from .links import unplugged

_PSBT: Final = ".psbt"
_SIGNED: Final = ".signed.psbt"
_REFUSED: Final = ".refused"


@dataclass(frozen=True, slots=True)
class Carried:
    """A file with a request, and the file with the answer to it, or what kept it from being delivered."""

    request: str
    reply: str | None
    problem: str | None


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A request that has no answer: ``put`` writes the answer and returns the name of its file."""

    file: str
    read: Callable[[], bytes | None]
    put: Callable[[bytes, bytes], str]


class Courier:
    """Delivers what waits in a folder to the appliance at the other end of ``link``; may be stopped and run again."""

    def __init__(
        self,
        folder: LinkFolder,
        link: Link,
        *,
        timeout: float,
        say: Callable[[str], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._link = link
        self._timeout = timeout
        self._say = say
        self._monotonic = monotonic

    def run(self) -> Iterator[Carried]:
        """Deliver what waits now, in the order of the numbers; what became of each.

        Raises FolderError, ApplianceUnplugged, and ApplianceSilent at the first request that is not answered: an
        appliance that takes a later one first would never take the earlier.
        """
        for one in self._waiting():
            # Attack: line ends and terminal commands in a file's name, which would be told and listed.
            if not one.file.isprintable():
                yield Carried(ascii(one.file), None, "its name cannot be printed; rename it")
                continue
            try:
                request = one.read()
            except (FolderFileError, UsageProblem) as error:
                yield Carried(one.file, None, str(error))
                continue
            if request is None:
                yield Carried(one.file, None, "it is not whole yet")
                continue
            self._say(f"delivering {one.file} (up to {self._timeout:g} s)")
            yield Carried(one.file, one.put(request, self._answer(one.file, request)), None)

    def _waiting(self) -> list[_Waiting]:
        requests, replies = self._folder.names()
        found = [self._message(name) for name in requests if name not in replies]
        return found + [self._psbt(file) for file in self._psbt_files()]

    def _message(self, name: Name) -> _Waiting:
        def put(request: bytes, reply: bytes) -> str:
            self._folder.write_reply(name, request, reply)
            return name.reply

        return _Waiting(name.request, lambda: self._folder.read_request(name), put)

    def _psbt_files(self) -> list[str]:
        files = set(self._folder.files(_PSBT, _REFUSED))
        stems = (file.removesuffix(_PSBT) for file in files if file.endswith(_PSBT) and not file.endswith(_SIGNED))
        return sorted(f"{stem}{_PSBT}" for stem in stems if not {stem + _SIGNED, stem + _REFUSED} & files)

    def _psbt(self, file: str) -> _Waiting:
        stem = file.removesuffix(_PSBT)
        is_base64 = False

        def read() -> bytes | None:
            nonlocal is_base64
            data = self._folder.read_file(file, limit=MAX_PSBT_FILE_BYTES)
            if data is None:
                return None
            psbt, is_base64 = decoded_psbt(data)
            try:
                PsbtRecords.parse(psbt)
            except ProtocolError as error:
                raise UsageProblem(f"{file}: {error}") from error
            return psbt

        def put(_: bytes, reply: bytes) -> str:
            name = stem + (_SIGNED if reply.startswith(MAGIC) else _REFUSED)
            data = encoded_psbt(reply, in_base64=is_base64) if reply.startswith(MAGIC) else reply
            self._folder.write_file(name, data)
            return name

        return _Waiting(file, read, put)

    def _answer(self, file: str, request: bytes) -> bytes:
        deadline = self._monotonic() + self._timeout
        try:
            self._link.send(request, timeout=self._timeout)
            while (rest := deadline - self._monotonic()) > 0:
                reply = self._link.receive(timeout=rest)
                if answers(request, reply):
                    return reply
        except (LinkTimeoutError, LinkDeadError) as error:
            raise ApplianceSilent(f"{file}: {error.detail}") from error
        except LinkError as error:
            raise unplugged(file, error) from error
        # Attack: an appliance that talks without end, so that nobody notices that it never answers.
        raise ApplianceSilent(f"{file}: nothing that came within {self._timeout:g} s answers it")


def answers(request: bytes, reply: bytes) -> bool:
    """Whether a message claims to answer a request; nothing in it is believed."""
    try:
        if reply.startswith(MAGIC):
            return request.startswith(MAGIC) and _txid(reply) == _txid(request)
        return open_reply(reply, None).header.in_reply_to == sha256(request)
    except ProtocolError:
        # Attack: rubbish on the line; the answer may still come.
        return False


def _txid(psbt: bytes) -> bytes:
    return PsbtRecords.parse(psbt).transaction.txid
