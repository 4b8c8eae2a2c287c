"""``make image`` and its kin.

python -m undercroft_images build [--output DIR]     build everything
python -m undercroft_images lock                     take today's packages of Debian into the lock files
python -m undercroft_images verify [--kept-kernel]   build twice from nothing, as two machines might, and compare
python -m undercroft_images sign KEY [--folder DIR]                          as a release signer, after an own build
python -m undercroft_images check SIGNERS [--card DEVICE] [--folder DIR]     two of three signatures, files, a card
python -m undercroft_images sign-boot KEY [--folder DIR]                     for boards that start signed files only
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from private_apt import FetchError, say

from . import card_check, manifest, secure_boot, signing, verifying
from .build import CARD, build
from .builder import Builder
from .errors import ImageError
from .places import OUTPUT
from .resolving import write_locks

_FAILED: Final = {"sign": "Not signed", "check": "Do not use it", "sign-boot": "Not signed"}


def main() -> int:
    """Run a command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="undercroft_images", description="The appliance's operating system.")
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="build everything")
    building.add_argument("--output", type=Path, default=OUTPUT, help="where the files go (default: build/image)")
    commands.add_parser("lock", help="take today's packages of Debian into the lock files")
    verifies = commands.add_parser("verify", help="build twice from nothing, as two machines might, and compare")
    verifies.add_argument("--kept-kernel", action="store_true", help="not from nothing: kernel and tools of the cache")
    _add_signing(commands)
    options = parser.parse_args()
    try:
        if options.command == "build":
            _show(build(options.output.absolute()))
            say(f"all of it in {options.output}")
        elif options.command == "lock":
            write_locks()
        elif options.command == "sign":
            say(f"signed: {signing.sign(options.folder, options.key)}, for commit {manifest.commit(options.folder)}")
        elif options.command == "check":
            _check(options.folder, options.signers, options.card)
        elif options.command == "sign-boot":
            secure_boot.sign_boot(Builder.ready(), options.folder, options.key)
            say(f"{secure_boot.SIGNATURE} and {secure_boot.CARD} in {options.folder}")
        else:
            _show(verifying.verify(kept=options.kept_kernel))
    except (ImageError, FetchError, OSError) as error:
        print(f"\n{_FAILED.get(options.command, 'The image was not built')}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. The next run goes on from what was finished.", file=sys.stderr)
        return 130
    return 0


def _add_signing(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    signing_sums = commands.add_parser("sign", help="sign SHA256SUMS as a release signer, after an own build")
    checking = commands.add_parser("check", help="look for two of three signatures, at all files, and at a card")
    signing_boot = commands.add_parser("sign-boot", help="sign boot.img for boards that start signed files only")
    for command in (signing_sums, checking, signing_boot):
        command.add_argument("--folder", type=Path, default=OUTPUT, help="where the files are (default: build/image)")
    signing_sums.add_argument("key", type=Path, help="OpenSSH key (Ed25519, or a token's)")
    signing_boot.add_argument("key", type=Path, help="RSA-2048 key (PEM)")
    checking.add_argument("signers", type=Path, help="the three release keys, one NAME KIND KEY a line")
    checking.add_argument("--card", type=Path, help="a written card's device, or a copy of its bytes")


def _check(folder: Path, signers: Path, card: Path | None) -> None:
    """Raises ImageError for an image that nobody should start."""
    names = signing.check(folder, signers)
    say(f"signed by {' and '.join(names)}, and all files are what they signed")
    say(f"built of commit {manifest.commit(folder)}")
    sums = manifest.read(manifest.sums(folder))
    # Attack: a card of somebody's lies among files that are as signed.
    if others := manifest.unlisted(folder, sums):
        say(f"NOT SIGNED BY THEM: {', '.join(others)}; do not use it unless you made it yourself")
    if card is not None:
        if CARD not in sums:
            raise ImageError(f"{manifest.SUMS} names no {CARD}")
        rest = card_check.check_card(card, folder / CARD, sums[CARD])
        say(f"{card} is {CARD}, byte for byte ({rest} bytes behind it, in no partition, were not looked at)")


def _show(files: dict[str, str]) -> None:
    for name, sha256 in files.items():
        print(f"{sha256}  {name}")


if __name__ == "__main__":
    sys.exit(main())
