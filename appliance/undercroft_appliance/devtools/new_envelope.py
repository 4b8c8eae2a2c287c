"""`undercroft-appliance new-envelope`: a test key in an envelope, for `sign-psbt` beside other signers.

Its output is the key's expression for a descriptor (BIP 380), such as `[fp/48h/1h/0h/2h]tpub…/<0;1>/*`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from undercroft_appliance.commands import EXIT_OK, Commands
from undercroft_appliance.errors import ConfigurationError
from undercroft_appliance.keeper.secrets import KernelEntropy
from undercroft_appliance.keeper.secrets.memory import Slot
from undercroft_protocol.bitcoin.descriptor import CosignerKey, account_path
from undercroft_protocol.bitcoin.network import Network

from .keyring import KDF, KDF_HELP, opened_keyring, read_exactly


def add_parser(commands: Commands) -> None:
    """Add `new-envelope` to the command line."""
    parser = commands.add_parser("new-envelope", help="(development) make a test key in an envelope")
    parser.add_argument("--out", required=True, metavar="FILE", help="where the envelope goes; must not be there yet")
    parser.add_argument("--seed-fd", type=int, metavar="N",
                        help="read a known test seed (32 raw bytes) from this one (default: random)")  # fmt: skip
    parser.add_argument("--passphrase-fd", type=int, metavar="N",
                        help="read the passphrase from this descriptor (default: the terminal)")  # fmt: skip
    parser.add_argument("--network", default=Network.REGTEST.value, choices=[network.value for network in Network],
                        help="the Bitcoin network (default: regtest)")  # fmt: skip
    parser.add_argument("--kdf", default="production", choices=sorted(KDF), help=KDF_HELP)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Make the key, write the envelope (canonical CBOR), print the key expression.

    Raises ConfigurationError, PassphraseError, MemoryUnavailableError, KeyDerivationError.
    """
    network = Network(options.network)
    with opened_keyring(network, options.kdf) as keys:
        keys.take_passphrase(options.passphrase_fd, new=True)
        envelope = keys.make_draft(lambda seed: _fill(seed, options.seed_fd))
        key = CosignerKey(keys.fingerprint, account_path(network), keys.xpub)
    try:
        with Path(options.out).open("xb") as file:
            file.write(envelope.to_bytes())
    except OSError as error:
        raise ConfigurationError(f"{options.out} cannot be written: {error.strerror}") from error
    print(f"{key.text()}/<0;1>/*")
    return EXIT_OK


def _fill(slot: Slot, descriptor: int | None) -> None:
    if descriptor is None:
        KernelEntropy().fill(slot)
    else:
        read_exactly(descriptor, slot)
