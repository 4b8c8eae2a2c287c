"""Vectors for parsers (CBOR, policies, descriptors, quorums), and lines that are proved by a test of their own."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, Final

from appliance.builders import DESCRIPTOR, P2WPKH, QUORUM, good_batch
from bad_inputs import TEST_DOOR, Vector, packed
from bitcoin_examples import example_quorum
from message_examples import POLICY_TEXT
from undercroft_protocol import cbor
from undercroft_protocol.bitcoin.address import address_of
from undercroft_protocol.bitcoin.descriptor import descriptor_checksum
from undercroft_protocol.bitcoin.network import Network

GOOD_POLICY: Final = POLICY_TEXT.format(version=1)
BODY: Final = DESCRIPTOR.text().partition("#")[0]
KEYS: Final = [one.text() for one in DESCRIPTOR.cosigners]
XPUB: Final = DESCRIPTOR.cosigners[0].xpub.text()
TESTS: Final = "tests/appliance"
MESSAGE: Final = "message"
RANDOM_BYTES: Final = 200

Plain = dict[int, Any]


def policy(name: str, attack: str, text: str, expect: str = MESSAGE) -> Vector:
    return Vector(name, attack, "policy", expect, {"policy": text})


def written(old: str, new: str) -> str:
    """The good policy with one part written otherwise."""
    if old not in GOOD_POLICY:
        raise ValueError(old)
    return GOOD_POLICY.replace(old, new, 1)


def listing(*addresses: str) -> str:
    listed = ", ".join(f'"{one}"' for one in addresses)
    return written("change_gap", f"allowlist = [{listed}]\nchange_gap")


def descriptor(name: str, attack: str, body: str, expect: str = "descriptor") -> Vector:
    return Vector(name, attack, "descriptor", expect, {"descriptor": f"{body}#{descriptor_checksum(body)}"})


def quorum(name: str, attack: str, change: Callable[[Plain], object], expect: str = MESSAGE) -> Vector:
    """The good quorum, changed where it is plain CBOR."""
    plain = _thawed(cbor.decode(QUORUM.to_bytes()))
    change(plain)
    return Vector(name, attack, "quorum", expect, {"quorum": packed(cbor.encode(plain))})


def with_threshold(threshold: int) -> Callable[[Plain], object]:
    return lambda plain: plain.__setitem__(2, threshold)


def _thawed(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_thawed(one) for one in value]
    return {key: _thawed(one) for key, one in value.items()} if hasattr(value, "items") else value


def bad_cbor(name: str, attack: str, data: bytes) -> Vector:
    return Vector(name, attack, "cbor", "cbor", {"cbor": packed(data)})


def shown(name: str, attack: str, test: str, code: str = "sign") -> Vector:
    """A line, or a code, that a test proves; ``code``: what it must find."""
    return Vector(name, attack, TEST_DOOR, code, {"test": f"{TESTS}/{test}", "shows": code})


def all_texts() -> Iterator[Vector]:
    yield from _policies()
    yield from _allowlists()
    yield from _descriptors()
    yield from _quorums()
    yield from _cbor()
    yield from _tests()


def _policies() -> Iterator[Vector]:
    yield policy("085-good", "The policy that is written otherwise in these files; it is good.", GOOD_POLICY, "sign")
    yield policy(
        "085-unknown-key", "A misspelt rule, which would silently be no rule.", written("most_fee_sats", "most_fee_sat")
    )
    yield policy("085-wrong-type", "A text where a number belongs.", written("50_000_000", '"50_000_000"'))
    yield policy("085-a-float", "A number with a point.", written("50_000_000", "0.5"))
    yield policy(
        "085-true-for-one", "True, which passes for the number 1 in some languages.", written("50_000_000", "true")
    )
    yield policy(
        "085-duplicate-key", "One rule is written twice.", GOOD_POLICY.replace("name =", "most_inputs = 1\nname =", 1)
    )
    yield policy("085-negative-limit", "A limit below zero.", written("50_000_000", "-1"))
    yield policy("085-missing-rule", "A rule that must be there is not.", written("most_fee_ppm = 50_000\n", ""))
    yield policy("085-no-window", "No window at all.", GOOD_POLICY.partition("[[windows]]")[0])
    yield policy(
        "085-empty-window", "A window without a word in it.", GOOD_POLICY.partition("[[windows]]")[0] + "[[windows]]\n"
    )
    yield policy("085-empty", "An empty policy, which for one signer meant: anything.", "")
    yield policy("085-not-toml", "What is no TOML.", GOOD_POLICY + "[")
    yield policy(
        "085-quorum-by-hand", "The quorum's id is written by hand.", f'quorum_id = "{QUORUM.id.hex()}"\n{GOOD_POLICY}'
    )
    for word, text in (
        ("newline", "daily\\npayouts"),
        ("control", "daily\\u0007payouts"),
        ("escape", "daily\\u001b[2Jpayouts"),
        ("right-to-left", "daily\\u202epayouts"),
        ("zero-width", "daily\\u200bpayouts"),
        ("not-ascii", "d\\u00e4ily payouts"),
    ):
        yield policy(
            f"079-name-{word}",
            "A name that moves, hides or changes what the screen shows.",
            written("daily payouts", text),
        )
    yield policy("080-name-of-41", "A name longer than what is shown whole.", written("daily payouts", "n" * 41))
    yield policy("080-empty-name", "A name without a character.", written("daily payouts", ""))


def _allowlists() -> Iterator[Vector]:
    address = address_of(P2WPKH, Network.REGTEST)
    yield policy("087-one-address", "An allowlist of one address; it is good.", listing(address), "sign")
    yield policy("087-capitals", "One address in small letters and in capitals.", listing(address, address.upper()))
    yield policy("087-mixed-case", "An address in both cases.", listing(address[:20] + address[20:].upper()))
    yield policy("087-other-network", "An address of another network.", listing(address_of(P2WPKH, Network.MAINNET)))
    yield policy("087-script-in-hex", "A script that has no address.", listing(b"\x6a\x04burn".hex()))
    yield policy("087-empty", "An allowlist without an address.", listing())
    many = [address_of(b"\x00\x14" + at.to_bytes(20, "big"), Network.REGTEST) for at in range(1001)]
    yield policy("087-1001-addresses", "One address more than the list may have.", listing(*many))


def _descriptors() -> Iterator[Vector]:
    mainnet = example_quorum(8, Network.MAINNET).descriptor.cosigners[0].text()
    zeros = "[00000000" + KEYS[0][9:]
    yield descriptor("032-key-twice", "One key stands under two fingerprints.", BODY.replace(KEYS[1], zeros))
    yield descriptor("033-own-key-twice", "Our own key stands there twice.", BODY.replace(KEYS[1], KEYS[0]))
    same = "[" + KEYS[0][1:9] + KEYS[1][9:]
    yield descriptor("034-one-fingerprint", "Two cosigners have one fingerprint.", BODY.replace(KEYS[1], same))
    yield descriptor("035-other-network", "A key of another network.", BODY.replace(KEYS[1], mainnet), "key-format")
    yield descriptor(
        "035-other-depth",
        "A key whose origin has fewer steps than its depth.",
        BODY.replace("/48h/1h/0h/2h", "/48h/1h/0h", 1),
    )
    yield descriptor("037-zero-of-3", "A threshold of none.", BODY.replace("(2,", "(0,"))
    yield descriptor("037-4-of-3", "A threshold above the number of keys.", BODY.replace("(2,", "(4,"))
    sixteen = [one.text() for seed in range(40, 46) for one in example_quorum(seed).descriptor.cosigners][:16]
    of_16 = f"wsh(sortedmulti(2,{','.join(f'{key}/<0;1>/*' for key in sixteen)}))"
    yield descriptor("037-2-of-16", "More keys than the rules of relay allow.", of_16)
    yield descriptor(
        "038-multi", "Keys in the order given, where sorted ones are registered.", BODY.replace("sortedmulti", "multi")
    )
    yield descriptor("038-nested", "Nested in P2SH.", f"sh({BODY})")
    yield descriptor("038-not-segwit", "No segwit at all.", BODY.replace("wsh(", "sh("))
    yield descriptor("045-one-branch", "A descriptor without a branch for change.", BODY.replace("<0;1>", "0"))
    changed = DESCRIPTOR.text()[:-1] + ("q" if DESCRIPTOR.text()[-1] != "q" else "p")
    attack = "One character of the checksum is wrong."
    yield Vector("036-descriptor-checksum", attack, "descriptor", "descriptor", {"descriptor": changed})


def _quorums() -> Iterator[Vector]:
    def owner(number: int, field: int, value: Any) -> Callable[[Plain], object]:
        return lambda plain: plain[3][number].__setitem__(field, value)

    xpubs = [one.xpub for one in QUORUM.owners]
    moved = xpubs[1][:13] + xpubs[0][13:]
    depth = xpubs[0][:4] + b"\x03" + xpubs[0][5:]
    yield quorum("032-quorum-key-twice", "One key in two owners' names, with other metadata.", owner(1, 5, moved))
    yield quorum(
        "034-quorum-one-fingerprint", "Two owners have one fingerprint.", owner(1, 4, QUORUM.owners[0].fingerprint)
    )
    yield quorum(
        "035-quorum-other-depth", "A key that is not where its path says.", owner(0, 5, depth), "quorum-unusable"
    )
    for threshold in (0, 1, 3, 4):
        yield quorum(
            f"037-quorum-{threshold}-of-3",
            "Another threshold than 2 of 3.",
            with_threshold(threshold),
        )
    yield quorum("037-quorum-2-of-2", "A quorum of two owners.", lambda plain: plain[3].pop())
    yield quorum("033-one-identity-twice", "One person stands for two owners.", owner(1, 6, QUORUM.owners[0].identity))
    yield quorum("079-owner-newline", "An owner's name with a newline.", owner(0, 1, "al\nice"))
    yield quorum("080-owner-of-41", "An owner's name of 41 characters.", owner(0, 1, "a" * 41))


def _cbor() -> Iterator[Vector]:
    good = good_batch().to_bytes()
    dice = random.Random(2026)
    for name, attack, data in (
        ("indefinite-array", "An array whose length is not said.", b"\x9f\x01\xff"),
        ("indefinite-bytes", "Bytes whose length is not said.", b"\x5f\x41\x00\xff"),
        ("duplicate-key", "A map that has one key twice.", b"\xa2\x01\x01\x01\x02"),
        ("unsorted-keys", "A map whose keys are not in order.", b"\xa2\x02\x01\x01\x01"),
        ("float", "A float where a number of satoshis may stand.", b"\xfb\x3f\xf0" + bytes(6)),
        ("long-integer", "An integer in more bytes than it needs.", b"\x18\x01"),
        ("bignum", "An integer beyond 64 bits.", b"\xc2\x49\x01" + bytes(8)),
        ("two-messages", "Two items, one behind the other.", good + good),
        ("half-a-message", "Half a batch.", good[: len(good) // 2]),
        ("huge-length", "An array that announces 2^64-1 items.", b"\x9b" + b"\xff" * 8),
        ("not-utf-8", "A text that is no text.", b"\x62\xc3\x28"),
        ("text-key", "A map with a text for a key.", b"\xa1\x61a\x01"),
        ("tag", "A tag where none belongs.", b"\xc1\x01"),
        ("random", "Random bytes.", bytes(dice.randrange(256) for _ in range(RANDOM_BYTES))),
        ("nothing", "No bytes.", b""),
    ):
        yield bad_cbor(f"068-cbor-{name}", attack, data)
    nested = {"before": "", "unit": packed(b"\x81"), "times": 10_000, "after": packed(b"\x00")}
    attack = "Ten thousand arrays, one within the other."
    yield Vector("068-cbor-nested-10000", attack, "cbor", "cbor", {"repeat": nested})
    plain = _thawed(cbor.decode(good))
    changes: tuple[tuple[str, str, Callable[[Plain], object]], ...] = (
        ("no-id", "A batch without its id.", lambda one: one.pop(1)),
        ("wrong-type", "A batch whose height is a text.", lambda one: one.__setitem__(3, "900")),
        ("unknown-field", "A batch with a field that nobody knows.", lambda one: one.__setitem__(99, 1)),
    )
    for name, attack, change in changes:
        changed = dict(plain)
        change(changed)
        yield Vector(f"068-batch-{name}", attack, "batch", MESSAGE, {"batch": packed(cbor.encode(changed))})


def _tests() -> Iterator[Vector]:
    yield shown(
        "014-amounts-are-integers",
        "An amount that was rounded on the screen.",
        "keeper/test_keeper_sign.py::test_amounts_are_exact_and_made_of_integers",
    )
    yield shown(
        "021-fault-while-signing",
        "A fault while signing gives a signature from which the key can be computed.",
        "secrets/test_secrets_signing.py::test_attack_a_fault_during_signing_never_leaves",
    )
    yield shown(
        "022-nonce-as-everybody-computes-it",
        "A firmware that chooses nonces leaks the seed in two signatures; these are Core's, byte for byte.",
        "secrets/test_secrets_signing.py::test_ecdsa_signatures_equal_bitcoin_cores_rule_byte_for_byte",
    )
    yield shown(
        "065-what-is-shown-is-signed",
        "Bytes that change between the screen and the signature.",
        "keeper/test_keeper_psbts.py::test_an_approved_psbt_comes_back_with_our_verified_signature_and_nothing_else_changed",
    )
    yield shown(
        "081-keys-before-the-screen",
        "Keys that were pressed before the question appeared.",
        "panel/test_panel_dialogue.py::test_attack_keys_typed_before_the_screen_appeared_answer_nothing",
    )
    yield shown(
        "088-clock-set-back",
        "The clock is set back, so that a window begins anew.",
        "keeper/test_keeper_recall.py::test_attack_a_clock_that_went_back_makes_nothing_older",
    )
    yield shown(
        "094-weak-randomness",
        "The source of randomness was replaced by a weak one.",
        "secrets/test_secrets_health.py::test_attack_a_weak_source_of_randomness_stops_the_boot",
    )
    yield shown(
        "095-no-secret-outside-guarded-pages",
        "Keys in logs, tracebacks, swap or core files.",
        "secrets/test_secrets_scan.py::test_attack_a_scan_of_the_whole_process_finds_no_secret_outside_guarded_pages",
    )
    yield shown(
        "096-cost-out-of-bounds",
        "An envelope that costs a year to open, or nothing.",
        "secrets/test_secrets_envelope.py::test_attack_a_cost_out_of_bounds_is_refused_before_it_is_paid",
    )
    yield shown(
        "097-nonce-used-once",
        "One nonce seals two texts.",
        "keeper/test_keeper_log.py::test_the_nonce_is_not_used_again_when_an_older_seal_brings_a_number_back",
    )
    for code, attack, test in (
        (
            "history-full",
            "A flood, until a signed coin is forgotten.",
            "history.py::test_attack_flood_until_a_signed_coin_is_forgotten",
        ),
        (
            "ledger-full",
            "A flood, until a payment is pushed out of the ledger.",
            "judge.py::test_attack_flood_of_payments_to_push_one_out_of_the_ledger",
        ),
        (
            "held-full",
            "More is held than an owner can look at.",
            "service.py::test_attack_more_is_held_than_an_owner_can_look_at",
        ),
    ):
        yield shown(f"code-{code}", attack, f"keeper/test_keeper_{test}", code)
