"""The Bitcoin networks and what is different on each."""

from __future__ import annotations

import enum


class Network(enum.Enum):
    """A Bitcoin network; the value is its name in messages, files and commands.

    Attributes: `bech32_prefix` (BIP 173), `coin_type` (SLIP 44), `p2pkh_version` and `p2sh_version` (one byte
    each), `xpub_version` (BIP 32, four bytes), `bitcoind_chain` (as `getblockchaininfo` names it).
    """

    MAINNET = "mainnet"
    TESTNET = "testnet"
    SIGNET = "signet"
    REGTEST = "regtest"

    def __init__(self, name: str) -> None:
        main = name == "mainnet"
        self.bech32_prefix: str = {"mainnet": "bc", "regtest": "bcrt"}.get(name, "tb")
        self.coin_type: int = 0 if main else 1
        self.p2pkh_version: bytes = b"\x00" if main else b"\x6f"
        self.p2sh_version: bytes = b"\x05" if main else b"\xc4"
        self.xpub_version: bytes = bytes.fromhex("0488b21e" if main else "043587cf")
        self.bitcoind_chain: str = {"mainnet": "main", "testnet": "test"}.get(name, name)
