"""The quorum's descriptor `wsh(sortedmulti(m,…))` and all that is derived from it (BIP 48, 380, 383, 389)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from undercroft_protocol.bitcoin.address import address_of
from undercroft_protocol.bitcoin.extended_key import HARDENED, ExtendedPublicKey
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.script import MAX_MULTISIG_KEYS, multisig_script, p2wsh_script
from undercroft_protocol.errors import DescriptorError

__all__ = [
    "BRANCHES",
    "HARDENED",
    "CosignerKey",
    "QuorumDescriptor",
    "account_path",
    "descriptor_checksum",
    "format_path",
]

BRANCHES = (0, 1)
"""Branch 0 receives, branch 1 is change."""

_INPUT_ALPHABET = "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyzABCDEFGH`#\"\\ "
_CHECKSUM_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_CHECKSUM_GENERATORS = (0xF5DEE51989, 0xA9FDCA3312, 0x1BAB10E32D, 0x3706B1677A, 0x644D626FFD)
_CHECKSUM_CHARACTERS = 8
_MAX_CHARACTERS = 4096  # fifteen keys take about 2300
_BOTH_BRANCHES = "/<0;1>/*"

_WHOLE = re.compile(r"wsh\(sortedmulti\(([1-9][0-9]?)((?:,[^,()]+)+)\)\)", re.ASCII)
_COSIGNER = re.compile(r"\[([0-9a-f]{8})((?:/[0-9]{1,10}['h]?)+)\]([1-9A-Za-z]{1,112})/<0;1>/\*", re.ASCII)


def account_path(network: Network) -> tuple[int, ...]:
    """`m/48h/coin/0h/2h`, the one path of quorum keys (BIP 48, script type 2: native P2WSH)."""
    return (48 | HARDENED, network.coin_type | HARDENED, HARDENED, 2 | HARDENED)


def format_path(path: tuple[int, ...]) -> str:
    """`/48h/1h/0h/2h` for a path: every step with a slash before it, hardened ones with an h."""
    return "".join(f"/{step & ~HARDENED}{'h' if step & HARDENED else ''}" for step in path)


def descriptor_checksum(text: str) -> str:
    """The eight characters that follow the # of a descriptor (BIP 380). Raises DescriptorError."""
    values: list[int] = []
    groups: list[int] = []
    for character in text:
        position = _INPUT_ALPHABET.find(character)
        if position < 0:
            raise DescriptorError("a character cannot occur in a descriptor")
        values.append(position & 31)
        groups.append(position >> 5)
        if len(groups) == 3:
            values.append(groups[0] * 9 + groups[1] * 3 + groups[2])
            groups.clear()
    if groups:
        values.append(groups[0] if len(groups) == 1 else groups[0] * 3 + groups[1])
    remainder = _checksum_polymod(values + [0] * _CHECKSUM_CHARACTERS) ^ 1
    return "".join(_CHECKSUM_ALPHABET[remainder >> 5 * (7 - at) & 31] for at in range(_CHECKSUM_CHARACTERS))


@dataclass(frozen=True, slots=True)
class CosignerKey:
    """One owner's account key: the master key's fingerprint (4 bytes), the path from it, the key there."""

    fingerprint: bytes
    path: tuple[int, ...]
    xpub: ExtendedPublicKey

    def __post_init__(self) -> None:
        if len(self.fingerprint) != 4:
            raise DescriptorError("a fingerprint is 4 bytes")
        # Attack: a key with an origin it does not have, which its owner's device would then derive elsewhere.
        if self.xpub.depth != len(self.path) or not self.path or self.xpub.child_number != self.path[-1]:
            raise DescriptorError("a key is not where its path says")

    def text(self) -> str:
        """`[fingerprint/path]xpub`, a key expression with its origin."""
        return f"[{self.fingerprint.hex()}{format_path(self.path)}]{self.xpub.text()}"


@dataclass(frozen=True, slots=True)
class QuorumDescriptor:
    """m of n account keys; scripts and addresses by branch (0 receive, 1 change) and index (0 … 2^31-1).

    Raises DescriptorError for repeated keys or fingerprints, another path than `account_path`, another
    network, an impossible threshold.
    """

    network: Network
    threshold: int
    cosigners: tuple[CosignerKey, ...]
    _branch_keys: tuple[tuple[ExtendedPublicKey, ...], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= self.threshold <= len(self.cosigners) <= MAX_MULTISIG_KEYS:
            raise DescriptorError(f"{self.threshold} of {len(self.cosigners)} is not a possible quorum")
        for cosigner in self.cosigners:
            if cosigner.path != account_path(self.network):
                raise DescriptorError(f"the path of a key is not m{format_path(account_path(self.network))}")
            if cosigner.xpub.version != self.network.xpub_version:
                raise DescriptorError("a key belongs to another network")
        # Attack: one owner under two names, who then alone meets the threshold.
        if len({cosigner.xpub.public_key for cosigner in self.cosigners}) != len(self.cosigners):
            raise DescriptorError("a key occurs twice")
        if len({cosigner.fingerprint for cosigner in self.cosigners}) != len(self.cosigners):
            raise DescriptorError("two keys have the same fingerprint")
        keys = tuple(tuple(cosigner.xpub.child(branch) for cosigner in self.cosigners) for branch in BRANCHES)
        object.__setattr__(self, "_branch_keys", keys)

    @classmethod
    def parse(cls, text: str, network: Network) -> QuorumDescriptor:
        """The quorum behind the text that `text()` writes; hardened steps may also have an apostrophe.

        The checksum is required. Raises DescriptorError or KeyFormatError.
        """
        # Attack: megabytes of text, to keep the checksum's loop busy.
        if len(text) > _MAX_CHARACTERS:
            raise DescriptorError("too long for a descriptor")
        body, separator, checksum = text.partition("#")
        if not separator or descriptor_checksum(body) != checksum:
            raise DescriptorError("the checksum is missing or wrong")
        whole = _WHOLE.fullmatch(body)
        if whole is None:
            raise DescriptorError("not of the form wsh(sortedmulti(m,key,…))")
        cosigners = tuple(_parse_cosigner(key, network) for key in whole[2][1:].split(","))
        return cls(network, int(whole[1]), cosigners)

    def text(self, branch: int | None = None) -> str:
        """The descriptor with its checksum, for both branches (BIP 389) or for one."""
        tail = _BOTH_BRANCHES if branch is None else f"/{_checked_branch(branch)}/*"
        keys = ",".join(cosigner.text() + tail for cosigner in self.cosigners)
        body = f"wsh(sortedmulti({self.threshold},{keys}))"
        return f"{body}#{descriptor_checksum(body)}"

    def branch_keys(self, branch: int) -> tuple[ExtendedPublicKey, ...]:
        """The keys one level above the addresses, in cosigner order."""
        return self._branch_keys[_checked_branch(branch)]

    def public_keys(self, branch: int, index: int) -> tuple[bytes, ...]:
        """The public keys of one address, in cosigner order (the script holds them sorted)."""
        return tuple(key.child_public_key(index) for key in self.branch_keys(branch))

    def witness_script(self, branch: int, index: int) -> bytes:
        """The multisig script of one address."""
        return multisig_script(self.threshold, self.public_keys(branch, index))

    def script(self, branch: int, index: int) -> bytes:
        """The locking script of one address."""
        return p2wsh_script(self.witness_script(branch, index))

    def address(self, branch: int, index: int) -> str:
        """One address."""
        return address_of(self.script(branch, index), self.network)


def _parse_cosigner(text: str, network: Network) -> CosignerKey:
    match = _COSIGNER.fullmatch(text)
    if match is None:
        raise DescriptorError(f"a key is not of the form [fingerprint/path]xpub{_BOTH_BRANCHES}")
    path = tuple(_parse_step(step) for step in match[2][1:].split("/"))
    return CosignerKey(bytes.fromhex(match[1]), path, ExtendedPublicKey.parse(match[3], network))


def _parse_step(step: str) -> int:
    hardened = step[-1] in "'h"
    number = int(step[:-1] if hardened else step)
    if number >= HARDENED:
        raise DescriptorError("a step of a path is out of range")
    return number | HARDENED if hardened else number


def _checked_branch(branch: int) -> int:
    if branch not in BRANCHES:
        raise DescriptorError(f"branch {branch} is neither 0 (receive) nor 1 (change)")
    return branch


def _checksum_polymod(values: list[int]) -> int:
    remainder = 1
    for value in values:
        top = remainder >> 35
        remainder = (remainder & 0x7FFFFFFFF) << 5 ^ value
        for at, generator in enumerate(_CHECKSUM_GENERATORS):
            if top >> at & 1:
                remainder ^= generator
    return remainder
