"""PSBTs as a node's wallet writes them, for coins that a regtest node has paid to the bench's quorum."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any, Final

from undercroft_host.money import btc_text, sats_from_btc

from .bench_quorum import BenchQuorum
from .node import PAYER, Node

WATCHER: Final = "watcher"
"""The wallet (without keys) that builds."""
SIGNER: Final = "signer"
"""The wallet with our private key, that signs."""
_COIN_SATS: Final = 2_000_000
_FANNED_SATS: Final = 3_000_000
_FAT_OUTPUTS: Final = 250
_FEERATE: Final = 2
_RANGE: Final = 999


@dataclass(frozen=True, slots=True)
class Case:
    """What is measured: so many inputs and outputs; ``fat``: each previous transaction has 250 outputs."""

    inputs: int
    outputs: int
    fat: bool = False

    @property
    def name(self) -> str:
        return f"{self.inputs}in{self.outputs}out{' fat' if self.fat else ''}"


@dataclass(slots=True)
class Builder:
    """Pays coins to the quorum, each in a transaction of its own, and builds PSBTs that spend them."""

    node: Node
    bench: BenchQuorum
    _payees: list[str] = field(default_factory=list)
    _next_index: int = 0

    def prepare(self, most_inputs: int) -> None:
        """Wallets, and so many coins with two outputs in their transaction."""
        self.node.fund_payer()
        for name, private in ((WATCHER, False), (SIGNER, True)):
            self.node.rpc("createwallet", name, not private, True)
            self.node.rpc("importdescriptors", [self._imported(branch, private) for branch in (0, 1)], wallet=name)
        for coin in self._fan_out(most_inputs):
            self._pay_from(coin)
        self.node.mine(1)

    def psbt(self, case: Case) -> bytes:
        """A PSBT of this shape with change as its last output."""
        if case.fat:
            for _ in range(case.inputs):
                self._pay_fat()
            self.node.mine(1)
        coins = [coin for coin in self._coins() if coin["fat"] == case.fat][: case.inputs]
        if len(coins) != case.inputs:
            raise AssertionError(f"{len(coins)} coins for {case.inputs} inputs")
        payees = case.outputs - 1
        paid_sats = case.inputs * _COIN_SATS // 2 // payees
        outputs = [{address: btc_text(paid_sats)} for address in self._addresses(payees)]
        options = {"add_inputs": False, "fee_rate": _FEERATE, "changePosition": payees, "replaceable": True}
        spent = [{"txid": coin["txid"], "vout": coin["vout"]} for coin in coins]
        built = self.node.rpc("walletcreatefundedpsbt", spent, outputs, 0, options, True, wallet=WATCHER)
        return base64.b64decode(built["psbt"])

    def _imported(self, branch: int, private: bool) -> dict[str, Any]:
        body = self.bench.private_descriptor(branch)
        text = f"{body}#{self.node.rpc('getdescriptorinfo', body)['checksum']}"
        return {
            "desc": text if private else self.bench.descriptor.text(branch),
            "timestamp": "now",
            "active": True,
            "internal": branch == 1,
            "range": [0, _RANGE],
        }

    def _fan_out(self, count: int) -> list[dict[str, Any]]:
        """So many coins of the payer's, all in one transaction."""
        self.node.pay_many(dict.fromkeys(self._addresses(count), _FANNED_SATS))
        self.node.mine(1)
        coins: list[dict[str, Any]] = self.node.rpc("listunspent", 1, 9999999, wallet=PAYER)
        return [coin for coin in coins if sats_from_btc(coin["amount"]) == _FANNED_SATS][:count]

    def _pay_from(self, coin: dict[str, Any]) -> None:
        """One coin to the quorum's next address, and change to the payer."""
        outputs = [
            {self._own_address(): btc_text(_COIN_SATS)},
            {self._addresses(1)[0]: btc_text(_FANNED_SATS - _COIN_SATS - 1000)},
        ]
        raw = self.node.rpc("createrawtransaction", [{"txid": coin["txid"], "vout": coin["vout"]}], outputs)
        signed = self.node.rpc("signrawtransactionwithwallet", raw, wallet=PAYER)
        self.node.rpc("sendrawtransaction", signed["hex"])

    def _pay_fat(self) -> None:
        others = self._addresses(_FAT_OUTPUTS - 1)
        self.node.pay_many({self._own_address(): _COIN_SATS, **dict.fromkeys(others, 10_000)})

    def _coins(self) -> list[dict[str, Any]]:
        found = self.node.rpc("listunspent", 1, 9999999, wallet=WATCHER)
        for coin in found:
            outputs = self.node.rpc("gettransaction", coin["txid"], True, True, wallet=WATCHER)["decoded"]["vout"]
            coin["fat"] = len(outputs) > _FAT_OUTPUTS // 2
        return sorted(found, key=lambda coin: (coin["txid"], coin["vout"]))

    def _own_address(self) -> str:
        self._next_index += 1
        return self.bench.descriptor.address(0, self._next_index - 1)

    def _addresses(self, count: int) -> list[str]:
        """So many addresses of the payer's; the same ones again and again."""
        while len(self._payees) < count:
            self._payees.append(self.node.payer_address())
        return self._payees[:count]
