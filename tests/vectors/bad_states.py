"""Vectors that need an appliance in some state: requests, replays, an open question, windows, freezes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Final

from appliance.builders import (
    ALICE,
    BOB,
    COIN_SATS,
    FEE_SATS,
    HEIGHT,
    PAID_SATS,
    POLICY,
    QUORUM,
    RISK,
    STRANGER,
    UTC,
    change,
    clearance,
    good_batch,
    only,
    stated,
    successor,
)
from appliance.coordinator import good_psbt
from bad_inputs import SCENARIO_DOOR, Vector, packed
from bad_scenarios import Recorder, played
from undercroft_appliance.keeper import activation, ceremony, psbts
from undercroft_protocol.messages import (
    Anomaly,
    DeclareRequest,
    FreezeOrder,
    FreezeRequest,
    LogRequest,
    PolicyOffer,
    QuorumOffer,
    Window,
)

LEAVES: Final = PAID_SATS + FEE_SATS
OFFER: Final = QuorumOffer(QUORUM, ALICE.envelope(None))

Play = Callable[[Recorder], object]


def scenario(name: str, attack: str, expect: str, play: Play, **more: Any) -> Vector:
    """One vector: what is done to a good appliance, step by step, with the answer to every message."""
    with Recorder() as bench:
        play(bench)
        steps = bench.steps
        after = bench.keeper.session.state
    return finished(name, attack, expect, {"steps": steps, "state_after": after, **more})


def finished(name: str, attack: str, expect: str, given: dict[str, Any]) -> Vector:
    """The vector with the answer to each of its messages; ``asked`` is the number of the one that it is about."""
    answers = played(given)
    if expect not in answers:
        raise ValueError(f"{name}: {answers}")
    asked = len(answers) - 1 - answers[::-1].index(expect)
    return Vector(name, attack, SCENARIO_DOOR, expect, {**given, "answers": answers, "asked": asked})


def answering(prompt: str, answer: str, then: Play) -> Play:
    def play(bench: Recorder) -> None:
        bench.answer(prompt, answer)
        then(bench)

    return play


def asks(body: Any, **header: Any) -> Play:
    return lambda bench: bench.ask(body, **header)


def activates(**changes: Any) -> Play:
    return lambda bench: bench.ask(bench.activation_request(**changes))


def unlocked(body: Any) -> Play:
    return lambda bench: bench.activated().ask(body)


def armed(*bodies: Any) -> Play:
    return lambda bench: [bench.ask(body) for body in (bodies if bench.armed() else ())]


def all_scenarios() -> Iterator[Vector]:
    yield from _requests()
    yield from _states()
    yield from _owners()
    yield from _signed_before()
    yield from _limits()
    yield from _freezes()


def _requests() -> Iterator[Vector]:
    def garbage(bench: Recorder) -> None:
        bench.keeper.handle(bench.armed().raw(b"\x00" * 40))

    def older(bench: Recorder) -> None:
        bench.armed()
        first = bench.unsent(good_batch())
        bench.ask(good_batch(first=1))
        bench.keeper.handle(bench.raw(first))

    def earlier_activation(bench: Recorder) -> None:
        old = bench.armed().sealed(good_batch())
        bench.keeper.handle(old)
        bench.lock()
        bench.ask(bench.activation_request())
        bench.ask(bench.grant())
        bench.keeper.handle(bench.raw(old))

    def damaged(bench: Recorder) -> None:
        bench.armed()
        good = bench.unsent(good_batch())
        bench.keeper.handle(bench.raw(good[:-1] + bytes([good[-1] ^ 1])))

    yield scenario("068-garbage", "Bytes that are no message.", "malformed-message", garbage)
    yield scenario(
        "071-another-coordinator",
        "A batch that the risk service signed, as if it were the vault.",
        "untrusted-signer",
        lambda bench: bench.armed().ask(good_batch(), RISK),
    )
    yield scenario("071-signature-changed", "One bit of the signature is another.", "bad-signature", damaged)
    yield scenario(
        "071-unsigned-psbt-counts-for-nothing",
        "A PSBT, which nobody signed, to an appliance that nobody armed.",
        "not-armed",
        lambda bench: bench.keeper.handle(bench.raw(good_psbt().serialize())),
    )
    yield scenario(
        "070-earlier-activation",
        "A batch is kept and sent again after the next activation, when windows are new.",
        "other-activation",
        earlier_activation,
    )
    yield scenario(
        "070-older-behind-newer", "An older batch is slipped in behind a newer one.", "stale-sequence", older
    )
    yield scenario(
        "code-other-quorum",
        "A message for another quorum.",
        "other-quorum",
        lambda bench: bench.armed().ask(good_batch(), quorum_id=b"\x01" * 32),
    )
    yield scenario(
        "code-request-expired",
        "The line held a batch back until it suited.",
        "request-expired",
        lambda bench: bench.armed().ask(good_batch(), expires=UTC - 1),
    )


def _states() -> Iterator[Vector]:
    def power_cut(bench: Recorder) -> None:
        bench.armed()
        bench.lock()
        bench.ask(good_batch())

    yield scenario(
        "040-locked-and-the-host-does-not-know",
        "The host goes on as if the key were still there; the answer says in which state it is.",
        "not-armed",
        power_cut,
    )
    yield scenario("code-not-armed", "A batch before another owner has granted.", "not-armed", unlocked(good_batch()))
    yield scenario(
        "code-not-unlocked", "The log of an appliance without an identity.", "not-unlocked", asks(LogRequest(0))
    )
    yield scenario(
        "code-not-activated",
        "A key that was unlocked for the ceremony is to be armed.",
        "not-activated",
        lambda bench: (bench.ask(OFFER), bench.ask(bench.grant())),
    )
    yield scenario(
        "code-already-unlocked",
        "A key is to be made over one that is open.",
        "already-unlocked",
        unlocked(DeclareRequest("regtest")),
    )
    yield scenario(
        "code-already-armed",
        "A second grant, to make the life longer.",
        "already-armed",
        lambda bench: bench.armed().ask(bench.grant()),
    )


def _owners() -> Iterator[Vector]:
    def beside(bench: Recorder) -> None:
        bench.armed()
        second = bench.unsent(good_batch())
        bench.answer(ceremony.PROMPT_POLICY, "approve", host=packed(second))
        bench.ask(PolicyOffer(successor()))

    def locked(bench: Recorder) -> None:
        bench.armed()
        bench.answer(ceremony.PROMPT_POLICY, None, command="lock")
        bench.ask(PolicyOffer(successor()))

    def silence(bench: Recorder) -> None:
        bench.answer(activation.PROMPT_SITE, None, wait=601)
        bench.ask(bench.activation_request())

    attack = "Another message while an approval is on the screen, so that the owner approves another."
    yield scenario("066-busy", attack, "busy", beside)
    yield scenario("code-interrupted", "The owner locks instead of answering.", "interrupted", locked)
    yield scenario("code-owner-timeout", "Nobody answers.", "owner-timeout", silence)
    yield scenario(
        "code-owner-declined",
        "The owner says no.",
        "owner-declined",
        answering(activation.PROMPT_SITE, activation.DECLINE, activates()),
    )
    yield scenario(
        "code-time-denied",
        "A false clock, so that what has expired is good again.",
        "time-denied",
        answering(activation.PROMPT_TIME, "wrong", activates()),
    )
    for name, attack, code, trouble, body in (
        ("passphrase-failed", "Passphrases are tried one after the other.", "passphrase-failed", "passphrase", OFFER),
        ("entropy-failed", "Dice that always show the same.", "entropy-failed", "dice", DeclareRequest("regtest")),
    ):
        with Recorder() as bench:
            quorum_id = QUORUM.id if body is OFFER else None
            bench.sealed(body, quorum_id=quorum_id)
            given = {"steps": bench.steps, "state_after": "empty", "troubles": {trouble: 3}}
        yield finished(f"code-{name}", attack, code, given)


def _signed_before() -> Iterator[Vector]:
    def again_after_a_lock(bench: Recorder) -> None:
        tight = dataclasses.replace(POLICY, windows=(Window(3600, LEAVES, LEAVES),))
        batch = good_batch(policy_hash=tight.hash)
        bench.armed((), tight).ask(batch)
        bench.lock()
        bench.armed((), tight).ask(dataclasses.replace(batch, batch_id=b"\x0c" * 16))

    yield scenario(
        "023-same-transaction-after-a-lock",
        "The same transaction after a lock: the same signature, counted once, though the window has no more room.",
        "sign",
        again_after_a_lock,
    )
    less = (clearance("w-0", PAID_SATS - 100_000), change(0, COIN_SATS - PAID_SATS - FEE_SATS + 90_000))
    yield scenario(
        "058-bump-that-cuts-a-payee",
        "A replacement with a higher fee, out of a payee's pocket.",
        "outpoint-signed",
        armed(good_batch(), dataclasses.replace(only(good_batch(), outputs=less), batch_id=b"\x0c" * 16)),
    )
    bump = (clearance("w-0"), change(0, COIN_SATS - PAID_SATS - 2 * FEE_SATS))
    yield scenario(
        "058-bump-that-keeps-all",
        "A replacement that keeps every payee, and takes the fee from the change: it is good, and is counted.",
        "sign",
        armed(good_batch(), dataclasses.replace(only(good_batch(), outputs=bump), batch_id=b"\x0c" * 16)),
    )
    other_coin = only(good_batch(first=1), outputs=(clearance("w-0"), change(1)))
    yield scenario(
        "code-withdrawal-paid",
        "The same withdrawal once more, out of other coins.",
        "withdrawal-paid",
        armed(good_batch(), dataclasses.replace(other_coin, batch_id=b"\x0c" * 16)),
    )
    lower = only(dataclasses.replace(good_batch(first=1), height=HEIGHT - 1), locktime=0)
    yield scenario(
        "code-height-back",
        "An older chain, on which a spent coin is still there.",
        "height-back",
        armed(good_batch(), lower),
    )
    higher = dataclasses.replace(good_batch(first=1), height=HEIGHT + POLICY.most_height_step + 1)
    yield scenario(
        "code-height-jump",
        "A height far ahead makes a far locktime pass.",
        "height-jump",
        armed(good_batch(), higher),
    )


def _limits() -> Iterator[Vector]:
    burning = dataclasses.replace(
        POLICY,
        windows=(Window(3600, 250_000, 250_000),),
        most_feerate_sat_per_kvb=10_000_000,
    )

    def burn(bench: Recorder) -> None:
        bench.armed((), burning)
        for at in range(3):
            moved = only(good_batch(first=at, policy_hash=burning.hash), outputs=(change(at, COIN_SATS - 100_000),))
            bench.ask(dataclasses.replace(moved, batch_id=bytes([at]) * 16))

    yield scenario(
        "012-fees-burnt-by-self-transfers",
        "Coins go round in a circle, each time with the greatest fee; the third one is over the window.",
        "window-limit",
        burn,
    )
    tight = dataclasses.replace(POLICY, windows=(Window(3600, LEAVES, LEAVES),))

    def edge(bench: Recorder) -> None:
        bench.armed((), tight).ask(good_batch(policy_hash=tight.hash))
        bench.wait(3599)
        late = only(
            good_batch(first=1, policy_hash=tight.hash), outputs=(clearance("w-1", expires=UTC + 9999), change(1))
        )
        bench.ask(late, expires=UTC + 9999)

    def lock_between(bench: Recorder) -> None:
        bench.armed((), tight).ask(good_batch(policy_hash=tight.hash))
        bench.lock()
        bench.armed((), tight).ask(good_batch(first=1, policy_hash=tight.hash))

    yield scenario("088-window-slides", "Twice the limit, before and after the edge of a window.", "window-limit", edge)
    yield scenario("088-lock-between", "A lock, so that the window begins anew.", "window-limit", lock_between)
    yield scenario(
        "088-window-unknown",
        "An activation whose granter does not know what was spent.",
        "window-unknown",
        lambda bench: bench.armed(None).ask(good_batch()),
    )
    usual = dataclasses.replace(POLICY, anomaly=Anomaly(3, 2, 1_000_000), most_fee_ppm=1_000_000)
    strange = dataclasses.replace(POLICY, anomaly=Anomaly(3, 1000, 500_000), most_fee_ppm=1_000_000)

    def paying(policy: Any, last: Any) -> Play:
        def play(bench: Recorder) -> None:
            bench.armed((), policy)
            for at in range(3):
                bench.ask(
                    dataclasses.replace(
                        good_batch(first=at, paid_sats=100_000, policy_hash=policy.hash), batch_id=bytes([at]) * 16
                    )
                )
            bench.ask(dataclasses.replace(last, policy_hash=policy.hash))

        return play

    yield scenario(
        "code-unusual-amount",
        "A payment like none before.",
        "unusual-amount",
        paying(usual, good_batch(first=9, paid_sats=1_000_000)),
    )
    elsewhere = (clearance("w-9", 100_000, b"\x00\x14" + b"\x99" * 20), change(9, COIN_SATS - 100_000 - FEE_SATS))
    yield scenario(
        "code-new-payees",
        "The host pays an address of its own that was never paid before.",
        "new-payees",
        paying(strange, only(good_batch(first=9), outputs=elsewhere)),
    )

    def feels(bench: Recorder) -> None:
        bench.armed()
        for at in range(10):
            bench.ask(dataclasses.replace(only(good_batch(), sequence=0), batch_id=bytes([at]) * 16))

    yield scenario(
        "090-ten-refusals",
        "A host feels its way along the limits; the tenth refusal wipes the key.",
        "sequence-number",
        feels,
    )
    yield scenario(
        "092-the-host-learns-a-word",
        "Which limit was hit: the host is told `unproven`, and the code stands on the owner's screen only.",
        "change-index",
        armed(only(good_batch(), outputs=(clearance(), change(POLICY.change_gap + 1)))),
    )

    def declined(bench: Recorder) -> None:
        bench.armed()
        bench.answer(psbts.PROMPT_PSBT, psbts.APPROVE)
        bench.keeper.handle(bench.raw(good_psbt().serialize()))

    yield scenario(
        "065-psbt-asked-about-and-signed",
        "A good PSBT, shown and approved, comes back with our signature; a bad one differs from it in one place.",
        "sign",
        declined,
    )


def _freezes() -> Iterator[Vector]:
    def order(time: int = UTC, key: Any = BOB.identity) -> FreezeRequest:
        return FreezeRequest(stated(FreezeOrder(QUORUM.id, "phone stolen", time), key))

    yield scenario("code-no-quorum", "A freeze while no quorum is there.", "no-quorum", asks(order()))
    yield scenario(
        "code-freeze-untrusted", "A stranger stops the payments.", "freeze-untrusted", armed(order(key=STRANGER))
    )
    yield scenario("code-freeze-old", "An order of long ago is brought again.", "freeze-old", armed(order(UTC - 601)))
    yield scenario(
        "code-frozen", "The host goes on as if nobody had stopped it.", "frozen", armed(order(), good_batch())
    )
