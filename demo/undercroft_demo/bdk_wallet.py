"""bdk's wallet as another signer; there is no wheel of bdkpython for every platform that Undercroft runs on."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from undercroft_protocol.bitcoin.descriptor import QuorumDescriptor, account_path


def with_private_key(descriptor: QuorumDescriptor, branch: int, master: Any) -> str:
    """The descriptor of a branch with embit's ``master`` in place of its account key, without a checksum."""
    account = master.derive(list(account_path(descriptor.network)))
    body = descriptor.text(branch).partition("#")[0]
    return str(body.replace(account.to_public().to_base58(), account.to_base58()))


class BdkWallet:
    """A wallet of a receive and a change descriptor, with the first ``revealed`` addresses of both."""

    def __init__(self, descriptors: Sequence[str], *, revealed: int) -> None:
        """Raises ImportError where there is no bdkpython."""
        self._bdk: Any = importlib.import_module("bdkpython")
        branches = [self._bdk.Descriptor(text, self._bdk.NetworkKind.TEST) for text in descriptors]
        self._wallet = self._bdk.Wallet(*branches, self._bdk.Network.REGTEST, self._bdk.Persister.new_in_memory())
        for branch in (self._bdk.KeychainKind.EXTERNAL, self._bdk.KeychainKind.INTERNAL):
            self._wallet.reveal_addresses_to(branch, revealed)
        self._options = self._bdk.SignOptions(
            trust_witness_utxo=False,
            assume_height=None,
            allow_all_sighashes=False,
            try_finalize=False,
            sign_with_tap_internal_key=False,
            allow_grinding=True,
        )

    def sign(self, psbt: str) -> str:
        """Sign a PSBT, base64 both."""
        parsed = self._bdk.Psbt(psbt)
        self._wallet.sign(parsed, self._options)
        return str(parsed.serialize())
