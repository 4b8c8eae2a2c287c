"""Stands in for QEMU: takes its options, answers on its control line, ends by Ctrl-C on the owner's terminal."""

from __future__ import annotations

import json
import os
import select
import socket
import sys
from pathlib import Path


def main() -> int:
    options = {value.split(",")[1].removeprefix("id="): value for value in sys.argv if ",id=" in value}
    if "--broken" in sys.argv:
        print("no such machine", file=sys.stderr)
        return 1
    place = {
        name: value.replace(",,", "\0").partition("path=")[2].replace("\0", ",") for name, value in options.items()
    }
    Path(place["journal"]).write_text("\t".join(("probe", "colour", "red", "red")) + "\r\n", encoding="ascii")
    line, owner = (os.open(place[name], os.O_RDWR | os.O_NOCTTY) for name in ("line", "owner"))
    control = socket.socket(fileno=int(options["control"].rpartition("fd=")[2]))
    answers = control.fileno()
    control.sendall(b'{"QMP": {}}\n')
    os.write(owner, b"--- Ready -\r\n")
    while True:
        ready = select.select([line, owner, answers], [], [])[0]
        if line in ready:
            os.write(line, os.read(line, 4096).upper())
        if owner in ready and b"\x03" in os.read(owner, 4096):
            return 134 if "--crashes" in sys.argv else 0
        if answers in ready:
            for asked in control.recv(4096).splitlines():
                control.sendall(_answer(json.loads(asked)["execute"]))


def _answer(command: str) -> bytes:
    if command == "refuse":
        return b'{"error": {"desc": "not today"}}\n'
    return b'{"event": "SHUTDOWN"}\n{"return": {"status": "%s"}}\n' % command.encode()


if __name__ == "__main__":
    sys.exit(main())
