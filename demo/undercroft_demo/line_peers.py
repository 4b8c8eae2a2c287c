"""What goes over the bench's serial line: the project's link, and ZMODEM and stop-and-wait beside it.

Each takes a `Job` and returns the seconds from the first byte until the other end has all of the payload, or raises
NotFinishedError. The two ends are two processes.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import subprocess
import tempfile
import termios
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from undercroft_protocol.errors import FrameError, LinkError
from undercroft_protocol.serial import cobs
from undercroft_protocol.serial.link import SerialLink
from undercroft_protocol.serial.tty import open_tty

from .fetched import program

BLOCK_BYTES: Final = 1024
"""Of stop-and-wait."""
_LOOK_SECONDS: Final = 0.002
_GREETING_SECONDS: Final = 0.15


class NotFinishedError(Exception):
    """The payload did not arrive in the time allowed."""


class WrongBytesError(Exception):
    """Something else arrived than was sent."""


@dataclass(frozen=True, slots=True)
class Job:
    """The two ends of a line, its speed in bits per second, what is to be brought over it, and the most seconds."""

    source: str
    target: str
    baud: int
    payload: bytes
    cap: float


def undercroft(job: Job) -> float:
    """The project's own link, just opened at both ends: the greetings are said, nothing else has been learnt."""

    def receive(parent: Connection) -> float:
        with SerialLink.open(job.target, baudrate=job.baud) as link:
            parent.send(None)
            message = link.receive(timeout=job.cap, listening=True)
            arrived = time.monotonic()
            if message != job.payload:
                raise WrongBytesError
            while not parent.poll():
                _pump(link)
            return arrived

    def send() -> float:
        with SerialLink.open(job.source, baudrate=job.baud) as link:
            opened = time.monotonic()
            while time.monotonic() < opened + _GREETING_SECONDS:
                _pump(link)
            started = time.monotonic()
            link.send(job.payload, timeout=job.cap)
            return started

    return _both(send, receive, job.cap)


def stop_and_wait(job: Job) -> float:
    """COBS and CRC-32 as here, 1 kB at a time, each answered before the next is sent; a timer for what is lost."""

    def receive(parent: Connection) -> float:
        with open_tty(job.target, baudrate=job.baud) as port:
            parent.send(None)
            got, expected, arrived = bytearray(), 0, 0.0
            for piece in _pieces(port.fileno(), parent.poll):
                if piece[0] == expected % 256 and len(got) < len(job.payload):
                    got += piece[1:]
                    expected += 1
                    arrived = time.monotonic()
                _write(port.fileno(), piece[:1])
        if len(got) < len(job.payload):
            raise NotFinishedError
        if got != job.payload:
            raise WrongBytesError
        return arrived

    def send() -> float:
        # Longer than a block and its answer take, with some latency.
        patience = 10 * (BLOCK_BYTES + 40) / job.baud + 0.1
        with open_tty(job.source, baudrate=job.baud) as port:
            started = time.monotonic()
            for number, start in enumerate(range(0, len(job.payload), BLOCK_BYTES)):
                name = bytes((number % 256,))
                while True:
                    sent = time.monotonic()
                    if sent > started + job.cap:
                        raise NotFinishedError
                    _write(port.fileno(), name + job.payload[start : start + BLOCK_BYTES])
                    if name in _pieces(port.fileno(), _after(sent + patience)):
                        break
            return started

    return _both(send, receive, job.cap)


def zmodem(job: Job) -> float:
    """Debian's `sz` and `rz`, as they are; until `rz` has the whole file and closes it."""
    sz, rz = program("sz"), program("rz")
    if sz is None or rz is None:
        raise FileNotFoundError("lrzsz")
    with (
        tempfile.TemporaryDirectory() as folder,
        open_tty(job.source, baudrate=job.baud) as source,
        open_tty(job.target, baudrate=job.baud) as target,
    ):
        for port in (source, target):
            termios.tcflush(port.fileno(), termios.TCIOFLUSH)
            os.set_blocking(port.fileno(), True)
        file, there = Path(folder) / "payload", Path(folder) / "there" / "payload"
        file.write_bytes(job.payload)
        there.parent.mkdir()
        ends = [
            subprocess.Popen(command, cwd=cwd, stdin=port.fileno(), stdout=port.fileno(), stderr=subprocess.DEVNULL)
            for command, cwd, port in (
                ([str(rz), "-q", "-b", "-y"], there.parent, target),
                ([str(sz), "-q", "-b", str(file)], None, source),
            )
        ]
        started = time.monotonic()
        try:
            while time.monotonic() < started + job.cap:
                if there.exists() and there.stat().st_size == len(job.payload):
                    arrived = time.monotonic()
                    if there.read_bytes() != job.payload:
                        raise WrongBytesError
                    return arrived - started
                time.sleep(_LOOK_SECONDS)
            raise NotFinishedError
        finally:
            for end in ends:
                end.kill()
                end.wait()


def bare(job: Job) -> float:
    """No protocol at all, both ways at once: what the line itself carries. For the slower of the two ways."""
    with open_tty(job.source, baudrate=job.baud) as one, open_tty(job.target, baudrate=job.baud) as other:
        ports = (one.fileno(), other.fileno())
        left = dict.fromkeys(ports, job.payload)
        missing = dict.fromkeys(ports, len(job.payload))
        started = time.monotonic()
        while any(missing.values()):
            if time.monotonic() > started + job.cap:
                raise NotFinishedError
            writers = [port for port in ports if left[port]]
            readable, writable, _ = select.select(ports, writers, [], 0.1)
            for port in writable:
                left[port] = left[port][os.write(port, left[port][:4096]) :]
            for port in readable:
                missing[port] -= len(os.read(port, 65536))
        return time.monotonic() - started


def _both(send: Callable[[], float], receive: Callable[[Connection], float], cap: float) -> float:
    """Run `receive` in a process of its own and `send` here; seconds from the one's start to the other's arrival."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()

    def child() -> None:
        try:
            result: float | Exception = receive(there)
        except (LinkError, NotFinishedError):
            result = NotFinishedError()
        except WrongBytesError as error:
            result = error
        there.send(result)

    process = context.Process(target=child)
    process.start()
    try:
        here.recv()
        try:
            started = send()
        except LinkError as error:
            raise NotFinishedError from error
        finally:
            here.send(None)
        if not here.poll(cap):
            raise NotFinishedError
        arrived = here.recv()
    finally:
        process.kill()
        process.join()
    if isinstance(arrived, Exception):
        raise arrived
    return float(arrived - started)


def _after(seconds: float) -> Callable[[], bool]:
    return lambda: time.monotonic() > seconds


def _pump(link: SerialLink) -> None:
    select.select([link], [link] if link.wants_write else [], [], _LOOK_SECONDS)
    link.pump()


def _write(port: int, piece: bytes) -> None:
    """A piece of stop-and-wait, with its CRC-32, stuffed, a zero behind it."""
    wire = cobs.encode(piece + zlib.crc32(piece).to_bytes(4, "big")) + b"\0"
    while wire:
        select.select([], [port], [])
        wire = wire[os.write(port, wire) :]


def _pieces(port: int, over: Callable[[], bool]) -> Iterator[bytes]:
    """The good pieces that come, until it is over."""
    waiting = b""
    while not over():
        if not select.select([port], [], [], _LOOK_SECONDS)[0]:
            continue
        *ended, waiting = (waiting + os.read(port, 65536)).split(b"\0")
        for wire in ended:
            try:
                plain = cobs.decode(wire)
            except FrameError:
                continue
            if len(plain) > 4 and zlib.crc32(plain[:-4]).to_bytes(4, "big") == plain[-4:]:
                yield plain[:-4]
