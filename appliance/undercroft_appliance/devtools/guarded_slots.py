"""Where in a keeper's guarded memory the keys lie that an unlocked appliance keeps."""

from __future__ import annotations

from collections.abc import Mapping

from undercroft_appliance.keeper.secrets import TEST_BOUNDS, TEST_COST, KernelEntropy, Keyring
from undercroft_protocol.bitcoin.network import Network

from .key_secrets import IDENTITY, LOG


def kept_offsets() -> Mapping[str, int]:
    """Bytes from the beginning of the guarded memory, by the names of `key_secrets.KEPT`.

    They are the same in every keeper of this version: slots are taken in one order, when a keyring is made. Raises
    MemoryUnavailableError, SelfTestError.
    """
    network = Network.REGTEST
    with Keyring(network=network, entropy=KernelEntropy(), kdf_bounds=TEST_BOUNDS, kdf_cost=TEST_COST) as keyring:
        slots = {
            IDENTITY: keyring._identity._secret,
            LOG: keyring._log_key._key,
            **{f"branch {number}": slot for number, slot in enumerate(keyring._account._branch_keys)},
        }
        return {name: slot.address - keyring._memory.address for name, slot in slots.items()}
