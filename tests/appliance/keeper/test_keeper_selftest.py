"""At every start one refusal of each family is asked of the real stages; a build that lost a check does not start."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from appliance import builders
from undercroft_appliance.errors import SelfTestError
from undercroft_appliance.keeper import (
    activation,
    ceremony,
    judge,
    owner,
    parse,
    policies,
    prove,
    prove_rules,
    psbt_door,
    refusals,
    rules_again,
    rules_amount,
    rules_fee,
    rules_payees,
    selftest_examples,
    selftest_refusals,
    service,
    session,
)
from undercroft_appliance.keeper.secrets import TEST_BOUNDS, TEST_COST, KernelEntropy, Keyring
from undercroft_appliance.keeper.selftest_appliance import unconnected
from undercroft_appliance.keeper.selftest_refusals import Bad, check_refusals
from undercroft_protocol import cose
from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.script import ScriptType
from undercroft_protocol.messages import BatchRequest, LogRequest


@pytest.fixture(scope="module")
def keys() -> Iterator[Keyring]:
    with Keyring(network=Network.MAINNET, entropy=KernelEntropy(), kdf_bounds=TEST_BOUNDS, kdf_cost=TEST_COST) as made:
        yield made


def all_bad(keys: Keyring) -> list[Bad]:
    found: list[Bad] = []
    for stage in selftest_refusals.STAGES:
        with unconnected(keys) as appliance:
            found.extend(stage(appliance))
    return found


def test_a_whole_build_passes_and_no_key_is_touched(keys: Keyring) -> None:
    check_refusals(keys)
    assert not keys.touched
    assert not keys.is_open


def test_each_family_of_refusals_is_asked_for(keys: Keyring) -> None:
    asked = {bad.code.coarse for bad in all_bad(keys)}
    assert asked == {code.coarse for code in refusals.CODES.values()}


def test_the_examples_belong_to_keys_that_everybody_knows() -> None:
    for person in (builders.ALICE, builders.BOB, builders.CAROL):
        entry = selftest_examples.owner(person.entry.name)
        assert (entry.fingerprint, entry.xpub, entry.identity) == (
            person.entry.fingerprint,
            person.entry.xpub,
            person.entry.identity,
        )
    assert builders.DESCRIPTOR.script(0, 0) == selftest_examples.COIN_SCRIPT


def nothing(*_: object, **__: object) -> None:
    """A check that was lost."""


def rules_without(lost: Callable[..., Any]) -> tuple[Any, ...]:
    return tuple(rule for rule in judge.RULES if rule is not lost)


def any_answer(event: object, _number: int) -> object:
    return getattr(event, "message", None)


LOST: dict[str, tuple[ModuleType | type, str, Any]] = {
    "untrusted-signer": (parse, "_OPEN_KINDS", (BatchRequest,)),
    "bad-signature": (cose.Signed, "verified_payload", lambda self, *_: self.payload),
    "other-quorum": (parse, "check_header", nothing),
    "request-expired": (parse, "check_expiry", nothing),
    "foreign-coin": (prove_rules, "check_own_script", nothing),
    "outpoint-repeated": (prove_rules, "check_once", nothing),
    "change-index": (prove_rules, "check_change_index", nothing),
    "sequence-number": (prove_rules, "check_sequence", nothing),
    "locktime": (prove_rules, "check_locktime", nothing),
    "dust": (prove_rules, "check_dust", nothing),
    "outputs-exceed-inputs": (prove_rules, "proven_fee", lambda *_: selftest_examples.FEE_SATS),
    "withdrawal-repeated": (prove, "_check_withdrawals", nothing),
    "change-fraud": (psbt_door._Door, "_own_output", lambda self, where, output, *_: output),
    "output-type": (psbt_door, "classify", lambda script: ScriptType.P2WPKH),
    "other-policy": (judge, "_check_batch", nothing),
    "height-back": (judge, "_check_height", nothing),
    "payee-type": (judge, "RULES", rules_without(rules_payees.kinds)),
    "clearance-expired": (judge, "RULES", rules_without(rules_payees.clearances)),
    "fee-limit": (judge, "RULES", rules_without(rules_fee.fees)),
    "transaction-limit": (judge, "RULES", rules_without(rules_amount.amount)),
    "window-limit": (judge, "RULES", rules_without(rules_amount.windows)),
    "outpoint-signed": (judge, "RULES", rules_without(rules_again.coins)),
    "not-armed": (session.Session, "need_armed", lambda self: (self.current, self.policy, self.armed)),
    "busy": (service, "_AT_ONCE", (*service._AT_ONCE, LogRequest)),
    "owner-timeout": (owner.OwnerScreen, "_answer_to", staticmethod(any_answer)),
    "approvals-insufficient": (policies, "_check_usable", nothing),
    "policy-too-young": (policies, "_check_waited", nothing),
    "policy-older": (policies, "_check_not_older", nothing),
    "grant-same-owner": (activation, "_other", lambda _, identity: selftest_examples.owner("bob")),
    "grant-same-site": (activation, "_check_same", nothing),
    "owner-declined": (activation, "CHOICES_ARM", (activation.DECLINE, "arm")),
}


@pytest.mark.parametrize("code", LOST)
def test_attack_a_build_that_lost_a_check_does_not_start(
    code: str, keys: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert code in refusals.CODES
    monkeypatch.setattr(*LOST[code])
    with pytest.raises(SelfTestError, match=code):
        check_refusals(keys)


@pytest.mark.parametrize("where", ["check_once", "check_own_script", "check_locktime"])
def test_a_build_that_refuses_everything_does_not_start_either(
    where: str, keys: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise refusals.Refusal(refusals.FOREIGN_COIN)

    monkeypatch.setattr(prove_rules, where, refuse)
    with pytest.raises(SelfTestError, match="a good request is refused"):
        check_refusals(keys)


def test_a_check_that_fails_otherwise_than_by_a_refusal_stops_the_boot(
    keys: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(ceremony, "check_network", crash)
    check_refusals(keys)
    monkeypatch.setattr(activation, "_check_same", crash)
    with pytest.raises(SelfTestError, match="ends in ZeroDivisionError"):
        check_refusals(keys)


WEAK_BOOT = """
import sys
from undercroft_appliance.keeper import prove_rules
from undercroft_appliance.keeper.secrets import entropy
{damage}
from undercroft_appliance.keeper.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("prove_rules.check_once = lambda *_: None", "outpoint-repeated is not refused"),
        ("entropy.KernelEntropy.fill = lambda self, slot: slot.wipe()", "randomness has 0 ones"),
    ],
)
def test_attack_a_keeper_that_fails_its_self_test_ends_before_it_serves(damage: str, said: str) -> None:
    port, port_end = socket.socketpair()
    panel, panel_end = socket.socketpair()
    keyboard, terminal = pty.openpty()
    left = os.memfd_create("handover")
    inherited = {"port": port_end.fileno(), "panel": panel_end.fileno(), "tty": terminal, "handover": left}
    arguments = [part for name, number in inherited.items() for part in (f"--{name}-fd", str(number))]
    command = [
        sys.executable,
        "-c",
        WEAK_BOOT.format(damage=damage),
        *arguments,
        "--network",
        "regtest",
        "--kdf",
        "demo",
    ]
    try:
        ended = subprocess.run(
            [*command, "--firmware-hash", "0f" * 32],
            pass_fds=tuple(inherited.values()),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        panel_end.close()
        assert ended.returncode == 1
        assert said in ended.stderr
        assert panel.recv(1) == b""
    finally:
        for each in (port, port_end, panel, panel_end):
            each.close()
        for descriptor in (keyboard, terminal, left):
            os.close(descriptor)
