"""Stage 7: a hash chain with coarse facts for the host, and exact ones that only the owner can open."""

from __future__ import annotations

import dataclasses

import pytest
from nacl.exceptions import CryptoError

from appliance.builders import (
    ALICE,
    BOB,
    PAID_SATS,
    POLICY,
    QUORUM,
    UTC,
    FakeClock,
    Person,
    PlainKeys,
    good_batch,
    public,
    stated,
)
from appliance.keeper.keeper_support import Bench
from undercroft_appliance.keeper import batches, refusals
from undercroft_appliance.keeper.clock import Clock
from undercroft_appliance.keeper.log import MOST_KEPT_BYTES, Log, LogSnapshot
from undercroft_appliance.keeper.text import CONTINUED
from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.bitcoin.transaction import txid_to_hex
from undercroft_protocol.messages import (
    FIRST_HEAD,
    LOG_START,
    ActivateRequest,
    ExactFacts,
    LockRequest,
    LogEntry,
    LogReply,
    LogRequest,
    LogSeal,
    PolicyApproval,
    Quorum,
    StatusRequest,
    follow,
    open_reply,
    open_statement,
)

HOLDING = dataclasses.replace(POLICY, hold_above_sats=1000)


def a_log(*, is_open: bool = True) -> Log:
    keys = PlainKeys(ALICE)
    if is_open:
        keys.unlock(ALICE.envelope(QUORUM.id), QUORUM.id)
    return Log(Clock(FakeClock()), keys)


def entries_of(bench: Bench) -> tuple[LogEntry, ...]:
    log = bench.ask(LogRequest(0)).body
    assert isinstance(log, LogReply)
    return log.entries


def named(entries: tuple[LogEntry, ...], event: str) -> LogEntry:
    (found,) = [entry for entry in entries if entry.event == event]
    return found


# The chain.


def test_the_log_is_a_hash_chain_over_the_sealed_bytes_too() -> None:
    log = a_log()
    for at in range(3):
        log.append("event", (f"fact {at}",), (f"exact {at}",))
    entries = log.entries_from(0)
    head = FIRST_HEAD
    for number, entry in enumerate(entries):
        assert (entry.number, entry.previous) == (number, head)
        assert entry.sealed is not None
        head = sha256(entry.to_bytes())
    assert head == log.head
    assert dataclasses.replace(entries[1], sealed=entries[2].sealed).head != entries[1].head


def test_the_log_breaks_long_facts_and_goes_on_in_further_entries() -> None:
    log = a_log()
    log.append("event", ["x" * 500] * 30, ["y" * 450] * 50)
    entries = log.entries_from(0)
    assert [len(entry.facts) for entry in entries] == [64, 26, 0]
    exact = [line for entry in entries for line in ALICE.exact(entry)]
    assert "".join(line.removeprefix(CONTINUED) for line in exact) == "y" * 450 * 50
    assert {entry.event for entry in entries} == {"event"}


def test_the_log_bounds_what_it_keeps_in_entries_and_bytes() -> None:
    log = a_log()
    for _ in range(2100):
        log.append("event")
    assert len(log.entries_from(0)) == 2000
    assert log.length == 2100
    for _ in range(250):
        log.append("event", ["x" * 200] * 64, ["y" * 200] * 64)
    kept = log.snapshot().entries
    assert sum(len(entry.to_bytes()) for entry in kept) <= MOST_KEPT_BYTES
    assert len(kept) < 250
    assert kept[-1].number == 2349


def test_the_log_goes_on_where_an_earlier_one_ended_and_tells_again_what_came_since_start() -> None:
    log = a_log()
    log.append("started", ("network regtest",))
    log.append("refused", ("the host is told: owner",), ("owner-declined",))
    before = log.head
    log.continue_from(41, b"\x07" * 32)
    continued, started, refused = log.entries_from(0)
    assert (continued.number, continued.previous, log.length) == (41, b"\x07" * 32, 44)
    assert any(before.hex() in fact for fact in continued.facts)
    assert (started.event, started.facts) == ("started", ("network regtest", "number 0 since start"))
    assert refused.facts == ("the host is told: owner", "number 1 since start")
    assert ALICE.exact(refused) == ("owner-declined",)


def test_a_snapshot_goes_on_with_the_same_chain_and_holds_nothing_exact_in_clear() -> None:
    log = a_log()
    log.owner = (QUORUM.id, ALICE.entry.identity)
    log.append("refused", ("coarse",), ("window-limit: 4200 > 4000",))
    data = log.snapshot().to_bytes()
    assert b"window-limit" not in data
    later = a_log(is_open=False)
    later.append("started")
    later.restore(LogSnapshot.from_bytes(data))
    assert (later.owner, later.length, later.head) == (log.owner, log.length, log.head)
    later.append("started")
    end, gaps = follow(later.entries_from(0), LOG_START)
    assert (end.head, gaps) == (later.head, ())


# What is sealed.


def test_exact_facts_of_any_code_have_the_same_length() -> None:
    for name in refusals.CODES:
        log = a_log()
        log.append("refused", (), (f"{name}: 1 > 0",))
        (entry,) = log.entries_from(0)
        assert len(entry.sealed or b"") == 24 + 512 + 16
        assert ALICE.exact(entry) == (f"{name}: 1 > 0",)


def test_the_largest_exact_facts_fit_one_entry() -> None:
    lines = ("y" * 200,) * 64
    assert len(ExactFacts(lines).padded()) == 26 * 512
    assert ExactFacts.from_padded(ExactFacts(lines).padded()).lines == lines


@pytest.mark.parametrize("field", ["number", "previous", "time", "event", "facts"])
def test_attack_a_sealed_part_is_moved_to_another_entry(field: str) -> None:
    log = a_log()
    log.append("signed", ("transaction 1",), ("exact",))
    (entry,) = log.entries_from(0)
    other = {"number": 7, "previous": b"\x01" * 32, "time": 9, "event": "refused", "facts": ("transaction 2",)}
    with pytest.raises(CryptoError):
        ALICE.exact(dataclasses.replace(entry, **{field: other[field]}))  # type: ignore[arg-type]
    with pytest.raises(CryptoError):
        BOB.exact(entry)


def test_the_nonce_is_not_used_again_when_an_older_seal_brings_a_number_back() -> None:
    nonces = set()
    for _ in range(8):
        log = a_log()
        log.continue_from(41, b"\x07" * 32)
        log.append("refused", (), ("exact",))
        nonces.add((log.entries_from(0)[-1].sealed or b"")[:24])
    assert len(nonces) == 8


def test_exact_facts_from_before_the_key_is_open_are_sealed_once_it_is() -> None:
    keys = PlainKeys(ALICE)
    log = Log(Clock(FakeClock()), keys)
    for at in range(70):
        log.append("refused", ("the host is told: owner",), (f"owner-declined: {at}",))
    assert all(entry.sealed is None for entry in log.entries_from(0))
    keys.unlock(ALICE.envelope(QUORUM.id), QUORUM.id)
    log.append("activated")
    log.append("armed")
    late = named(log.entries_from(0), "sealed-later")
    assert ALICE.exact(late) == tuple(f"refused: owner-declined: {at}" for at in range(6, 70))
    assert late.facts == ("the newest 64 lines from before the key was open",)


# What the keeper writes.


def test_every_request_decision_and_change_of_state_is_told_once(bench: Bench) -> None:
    bench.armed()
    bench.verdicts(good_batch())
    bench.refusal(good_batch(policy_hash=b"\x01" * 32))
    bench.ask(StatusRequest(), activation_id=bytes(16))
    entries = entries_of(bench)
    assert [entry.event for entry in entries] == [
        "started", "request", "activated", "request", "armed", "request", "signed", "request", "refused",
    ]  # fmt: skip
    requests = [entry for entry in entries if entry.event == "request"]
    assert [entry.facts[0] for entry in requests] == ["ActivateRequest", "ArmRequest", "BatchRequest", "BatchRequest"]
    assert requests[2].facts[2] == f"batch {good_batch().batch_id.hex()}"


def test_a_request_is_named_by_the_digest_of_its_bytes(bench: Bench) -> None:
    bench.armed()
    data = bench.sealed(good_batch())
    reply = open_reply(bench.keeper.handle(data), None)
    assert bench.keeper.handle(data)
    request = [entry for entry in entries_of(bench) if entry.event == "request"][-1]
    assert request.facts[1] == f"request {reply.header.in_reply_to.hex()}"
    assert len([entry for entry in entries_of(bench) if entry.facts[:2] == request.facts[:2]]) == 1


def test_a_verdict_has_transaction_batch_and_coarse_code_for_the_host_and_numbers_for_the_owner(bench: Bench) -> None:
    bench.armed(policy=HOLDING)
    (verdict,) = bench.verdicts(good_batch(policy_hash=HOLDING.hash))
    entry = named(entries_of(bench), "held")
    assert entry.facts == (
        f"held {txid_to_hex(verdict.txid)}, batch {good_batch().batch_id.hex()}",
        "the host is told: policy",
    )
    exact = ALICE.exact(entry)
    assert any(str(PAID_SATS) in line or "sats leave" in line for line in exact)
    assert any(refusals.TRANSACTION_HOLD.name in line for line in exact), exact


@pytest.mark.parametrize("choice", [batches.APPROVE, batches.DECLINE])
def test_an_owners_decision_on_what_was_held_is_in_the_log(bench: Bench, choice: str) -> None:
    bench.armed(policy=HOLDING)
    bench.verdicts(good_batch(policy_hash=HOLDING.hash))
    bench.owner.answers[batches.PROMPT_HELD] = choice
    bench.command("held")
    event, word = ("signed", "approved") if choice == batches.APPROVE else ("declined", "declined")
    assert named(entries_of(bench), event).facts[0].endswith(f"{word} by the owner")


def test_attack_the_host_reads_exact_codes_and_limits_in_the_log(bench: Bench) -> None:
    bench.armed()
    bench.refusal(good_batch(policy_hash=b"\x01" * 32))
    bench.verdicts(good_batch(paid_sats=9_000_000))
    entries = entries_of(bench)
    clear = "\n".join(fact for entry in entries for fact in (entry.event, *entry.facts))
    for name in refusals.CODES:
        assert name not in clear.replace("unlocked", "")
    assert "spent" not in clear
    refused = [entry for entry in entries if entry.event == "refused"]
    assert ALICE.exact(refused[0])[0].startswith(refusals.OTHER_POLICY.name)
    assert "spent" in "\n".join(ALICE.exact(named(entries, "armed")))


def test_refusals_before_a_key_is_open_are_coarse_in_clear_and_exact_later(bench: Bench) -> None:
    code = bench.refusal(good_batch(), quorum_id=None)
    assert code.startswith(refusals.NOT_ARMED.name)
    bench.activated()
    entries = entries_of(bench)
    early = named(entries, "refused")
    assert early.facts[1:] == ("the host is told: state",)
    assert early.sealed is None
    assert ALICE.exact(named(entries, "sealed-later")) == (f"refused: {code}",)


def test_the_owner_reads_exact_facts_at_the_panel_until_the_lock(bench: Bench) -> None:
    bench.armed()
    bench.refusal(good_batch(policy_hash=b"\x01" * 32))
    bench.command("log")
    shown = bench.last_notice("Log").lines
    assert any(refusals.OTHER_POLICY.name in line for line in shown)
    assert shown[0].startswith("0 time unknown started")
    before = len(bench.owner.notices)
    bench.ask(LockRequest())
    bench.command("log")
    shown = bench.last_notice("Log", before).lines
    assert not any(refusals.OTHER_POLICY.name in line for line in shown)
    assert any("sealed: read it with" in line for line in shown)


def test_what_locks_the_appliance_is_in_the_log(bench: Bench) -> None:
    bench.armed()
    for _ in range(10):
        bench.refusal(good_batch(policy_hash=b"\x01" * 32))
    bench.activated()
    entry = named(entries_of(bench), "locked")
    assert entry.facts == ("10 refusals",)


def test_another_owners_key_does_not_open_it() -> None:
    stranger = Person(0xD4, "dave", "Oslo vault", "north")
    log = a_log()
    log.append("refused", (), ("exact",))
    with pytest.raises(CryptoError):
        stranger.exact(log.entries_from(0)[0])


def log_of(bench: Bench, start: int, quorum: Quorum = QUORUM) -> tuple[tuple[LogEntry, ...], LogSeal]:
    """The entries from a number on, and the seal, as the host of a quorum hears them."""
    reply = bench.ask(LogRequest(start), quorum_id=quorum.id).body
    assert isinstance(reply, LogReply)
    return reply.entries, open_statement(LogSeal, reply.seal, (public(ALICE.identity),))[0]


def test_attack_the_host_of_a_second_quorum_reads_the_log_of_the_first(bench: Bench) -> None:
    bench.activated().lock()
    other = dataclasses.replace(QUORUM, formed=QUORUM.formed + 1)
    policy = dataclasses.replace(POLICY, quorum_id=other.id)
    approved = tuple(
        stated(PolicyApproval(other.id, policy.hash, policy.version, 0), one.identity) for one in (ALICE, BOB)
    )
    bench.ask(ActivateRequest(other, ALICE.envelope(other.id), policy, approved, UTC, None), quorum_id=other.id)
    entries, _ = log_of(bench, 0, other)
    assert (entries[0].number, entries[0].previous) == (0, FIRST_HEAD)
    assert [entry.event for entry in entries if entry.event != "request"] == ["log-continued", "activated"]
    assert QUORUM.code not in str(entries)


def test_a_log_that_another_appliance_of_this_owner_went_on_with_is_gone_on_with_from_there(bench: Bench) -> None:
    bench.activated()
    entries, seal = log_of(bench, 0)
    bench.lock()
    newer = dataclasses.replace(seal, length=seal.length + 50, head=b"\x07" * 32)
    bench.activated(log_seal=stated(newer, ALICE.identity))
    entries, seal = log_of(bench, newer.length)
    assert (entries[0].number, entries[0].previous) == (newer.length, newer.head)
    assert [entry.event for entry in entries if entry.event != "request"] == ["log-continued", "activated"]
    assert seal.length == newer.length + len(entries)
