"""Requests and replies as files in one folder, which somebody carries: a USB stick, a folder that is synced.

``000001-ab12cd34.request`` is the first request, with the beginning of its SHA-256; ``000001-ab12cd34.reply`` answers
it. The first line of each file says what it is, how long the message behind it is, its SHA-256 and, in a reply, that of
the request; so a file that is half written, or belongs elsewhere, is never taken for a message.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .bitcoin.hashes import sha256
from .errors import FolderError, FolderFileError
from .fields import MAX_MESSAGE_BYTES

REQUEST: Final = "request"
REPLY: Final = "reply"

_NAME: Final = re.compile(r"([0-9]{6})-([0-9a-f]{8})\.(request|reply)", re.ASCII)
_HEAD: Final = re.compile(
    rb"undercroft (request|reply) 1 ([0-9]{1,8}) ([0-9a-f]{64})(?: to ([0-9a-f]{64}))?\n", re.ASCII
)
_MOST_HEAD_BYTES: Final = 200
_MOST_FILES: Final = 20_000
_LAST_NUMBER: Final = 999_999


@dataclass(frozen=True, slots=True, order=True)
class Name:
    """Which request: its number (rising), and the first four bytes of its SHA-256 as hex."""

    number: int
    digest: str

    @property
    def request(self) -> str:
        """The name of its file."""
        return f"{self.number:06}-{self.digest}.{REQUEST}"

    @property
    def reply(self) -> str:
        """The name of the file with its reply."""
        return f"{self.number:06}-{self.digest}.{REPLY}"


def parse_name(text: str) -> tuple[Name, str] | None:
    """The name of a file and what it is (``request`` or ``reply``); None for a file that is neither."""
    found = _NAME.fullmatch(text)
    if found is None:
        return None
    return Name(int(found[1]), found[2]), found[3]


class LinkFolder:
    """The folder at an absolute path. ``entropy`` gives the temporary files names that nobody guesses."""

    def __init__(self, path: Path, *, entropy: Callable[[int], bytes] = os.urandom) -> None:
        if not path.is_absolute():
            raise FolderError(f"{path} is not an absolute path")
        self.path = path
        self._entropy = entropy

    def check(self) -> None:
        """Raises FolderError unless it is a directory in which nobody but its owner and group can write."""
        try:
            mode = self.path.stat().st_mode
        except OSError as error:
            raise FolderError(f"{self.path} cannot be reached ({error.strerror})") from error
        if not stat.S_ISDIR(mode):
            raise FolderError(f"{self.path} is not a directory")
        # Attack: anybody on this machine takes files away or puts their own in their place.
        if mode & stat.S_IWOTH:
            raise FolderError(f"{self.path} can be written by everybody (chmod o-w)")

    def names(self) -> tuple[list[Name], set[Name]]:
        """The requests, by number, and those of them or others that have a reply. Raises FolderError."""
        parsed = [one for file in self.files(f".{REQUEST}", f".{REPLY}") if (one := parse_name(file)) is not None]
        requests = [name for name, kind in parsed if kind == REQUEST]
        return sorted(requests), {name for name, kind in parsed if kind == REPLY}

    def files(self, *suffixes: str) -> list[str]:
        """The names of all files that end so and are not hidden. Raises FolderError."""
        self.check()
        found = []
        try:
            with os.scandir(self.path) as entries:
                for count, entry in enumerate(entries):
                    # Attack: a folder of millions of files, to fill the memory with their names.
                    if count >= _MOST_FILES:
                        raise FolderError(f"more than {_MOST_FILES} files in {self.path}; remove what is done")
                    if entry.name.endswith(suffixes) and not entry.name.startswith("."):
                        found.append(entry.name)
        except OSError as error:
            raise FolderError(f"{self.path} cannot be read ({error.strerror})") from error
        return found

    def write_request(self, message: bytes) -> Name:
        """Put a request into the folder, under the next number. Raises FolderError."""
        requests, replies = self.names()
        number = max((one.number for one in (*requests, *replies)), default=0) + 1
        if number > _LAST_NUMBER:
            raise FolderError(f"request {_LAST_NUMBER} was the last in {self.path}; use another folder")
        digest = sha256(message).hex()
        name = Name(number, digest[:8])
        self.write_file(name.request, f"undercroft {REQUEST} 1 {len(message)} {digest}\n".encode() + message)
        return name

    def write_reply(self, name: Name, request: bytes, message: bytes) -> None:
        """Put the reply to a request beside it. Raises FolderError."""
        head = f"undercroft {REPLY} 1 {len(message)} {sha256(message).hex()} to {sha256(request).hex()}\n"
        self.write_file(name.reply, head.encode() + message)

    def read_request(self, name: Name) -> bytes | None:
        """A request; None while its file is not whole. Raises FolderFileError for what is no request."""
        message = self._read(name.request, REQUEST, None)
        # Attack: one request under the name of another, whose reply would go to the wrong place.
        if message is not None and sha256(message).hex()[:8] != name.digest:
            raise FolderFileError(f"{name.request} holds another request")
        return message

    def read_reply(self, name: Name, request: bytes) -> bytes | None:
        """The reply to a request; None while there is none, or its file is not whole.

        Raises FolderFileError for a file of that name that is something else.
        """
        return self._read(name.reply, REPLY, sha256(request))

    def withdraw(self, name: Name) -> None:
        """Take a request away again; nothing happens when it is gone, or the folder is. Raises FolderError."""
        try:
            (self.path / name.request).unlink(missing_ok=True)
        except OSError as error:
            raise FolderError(f"{self.path / name.request} cannot be removed ({error.strerror})") from error

    def _read(self, name: str, kind: str, answers: bytes | None) -> bytes | None:
        data = self.read_file(name, limit=MAX_MESSAGE_BYTES + _MOST_HEAD_BYTES)
        return None if data is None else _opened(name, data, kind, answers)

    def read_file(self, name: str, *, limit: int) -> bytes | None:
        """A file of at most ``limit`` bytes, None when there is none. Raises FolderFileError for what is not ours."""
        try:
            # Attack: a symbolic link to another file, or a FIFO that blocks whoever opens it.
            fd = os.open(self.path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FolderFileError(f"{name} cannot be opened ({error.strerror})") from error
        try:
            _check_file(name, os.fstat(fd), limit)
            with os.fdopen(fd, "rb", closefd=False) as file:
                return file.read(limit + 1)
        except OSError as error:
            raise FolderFileError(f"{name} cannot be read ({error.strerror})") from error
        finally:
            os.close(fd)

    def write_file(self, name: str, data: bytes) -> None:
        """Write it under another name, and give it its own once it is on the disk. Raises FolderError."""
        self.check()
        temporary = self.path / f".{name}.{self._entropy(8).hex()}"
        try:
            # Attack: a symbolic link is there already, and leads to a file that would be overwritten.
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(fd)
                temporary.rename(self.path / name)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            self._sync()
        except OSError as error:
            raise FolderError(f"{self.path / name} cannot be written ({error.strerror})") from error

    def _sync(self) -> None:
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _check_file(name: str, facts: os.stat_result, limit: int) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise FolderFileError(f"{name} is not a regular file")
    # Attack: another user of this machine leaves an answer of their own.
    if facts.st_uid not in (os.geteuid(), 0):
        raise FolderFileError(f"{name} belongs to somebody else")
    # Attack: a file that fills the memory.
    if facts.st_size > limit:
        raise FolderFileError(f"{name} has {facts.st_size} bytes, {limit} at most")


def _opened(name: str, data: bytes, kind: str, answers: bytes | None) -> bytes | None:
    """The message in a file, None while the file is not whole."""
    end = data.find(b"\n", 0, _MOST_HEAD_BYTES) + 1
    if not end:
        if len(data) >= _MOST_HEAD_BYTES:
            raise FolderFileError(f"{name} does not begin as a {kind} does")
        return None
    head = _HEAD.fullmatch(data[:end])
    if head is None or head[1].decode() != kind:
        raise FolderFileError(f"{name} does not begin as a {kind} does")
    # Attack: the reply to an earlier request, under the name of the reply to this one.
    if answers is not None and (head[4] or b"") != answers.hex().encode():
        raise FolderFileError(f"{name} answers another request")
    message = data[end:]
    length = int(head[2])
    if len(message) > length or length > MAX_MESSAGE_BYTES:
        raise FolderFileError(f"{name} is longer than it says")
    # Some copiers give a file its length first and its bytes later.
    if len(message) < length or sha256(message).hex().encode() != head[3]:
        return None
    return message
