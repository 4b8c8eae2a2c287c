"""The address book gives what the descriptor gives, our own key among it, and never grows without end."""

from __future__ import annotations

import hashlib

import pytest

from appliance.builders import ALICE, BOB, BOOK, DESCRIPTOR
from appliance.keeper.keeper_support import Bench
from bitcoin_examples import example_quorum
from undercroft_appliance.keeper import addresses
from undercroft_appliance.keeper.addresses import AddressBook
from undercroft_appliance.keeper.curve import first_invalid
from undercroft_protocol.bitcoin.extended_key import HARDENED
from undercroft_protocol.errors import DescriptorError, KeyFormatError

DIGEST = hashlib.sha256(b"a digest").digest()


@pytest.mark.parametrize(("threshold", "key_count"), [(2, 3), (1, 1), (3, 5), (15, 15)])
def test_the_book_agrees_with_the_descriptor(threshold: int, key_count: int) -> None:
    descriptor = example_quorum(7, threshold=threshold, key_count=key_count).descriptor
    for own, cosigner in enumerate(descriptor.cosigners):
        book = AddressBook(descriptor, cosigner.xpub)
        for branch in (0, 1):
            for index in (0, 1, 999, HARDENED - 1):
                address = book.at(branch, index)
                assert (address.branch, address.index) == (branch, index)
                assert address.witness_script == descriptor.witness_script(branch, index)
                assert address.script == descriptor.script(branch, index)
                assert address.public_keys == descriptor.public_keys(branch, index)
                assert address.own_public_key == address.public_keys[own]


def test_the_own_point_verifies_signatures_of_the_own_key() -> None:
    places = [(0, 0), (1, 5)]
    points = [own.point for place in places if (own := BOOK.at(*place).own)]
    signatures = [bytes(ALICE.key(*place).sign(DIGEST, hasher=None)) for place in places]
    assert first_invalid(points, [DIGEST, DIGEST], signatures) is None
    strange = [signatures[0], bytes(BOB.key(1, 5).sign(DIGEST, hasher=None))]
    assert first_invalid(points, [DIGEST, DIGEST], strange) == 1
    assert first_invalid(points, [DIGEST, bytes(32)], signatures) == 1
    assert first_invalid(points, [DIGEST, DIGEST], [b"", signatures[1]]) == 0
    with pytest.raises(ValueError, match="32 bytes"):
        first_invalid(points, [DIGEST, b"short"], signatures)


def test_a_book_without_an_owner_has_scripts_only() -> None:
    address = AddressBook(DESCRIPTOR, None).at(0, 3)
    assert address.script == DESCRIPTOR.script(0, 3)
    assert (address.own, address.own_public_key, address.own_tweak) == (None, None, None)


def test_a_stranger_has_no_book() -> None:
    with pytest.raises(DescriptorError):
        AddressBook(example_quorum(7).descriptor, ALICE.xpub)


@pytest.mark.parametrize(("branch", "index"), [(2, 0), (-1, 0), (0, -1), (1, HARDENED)])
def test_a_place_that_is_none_is_refused(branch: int, index: int) -> None:
    with pytest.raises((DescriptorError, KeyFormatError)):
        BOOK.at(branch, index)


def test_an_address_is_derived_once() -> None:
    book = AddressBook(DESCRIPTOR, ALICE.xpub)
    book.fill(2)
    assert all(book.at(branch, index) is book.at(branch, index) for branch in (0, 1) for index in range(4))


def test_attack_a_million_indexes_fill_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "MOST_PASSING", 5)
    book = AddressBook(DESCRIPTOR, ALICE.xpub)
    book.fill(2)
    kept = [book.at(branch, index) for branch in (0, 1) for index in range(2)]
    for index in range(2, 50):
        assert book.at(1, index).script == DESCRIPTOR.script(1, index)
        assert len(book._addresses) <= 4 + 5
    assert [book.at(branch, index) for branch in (0, 1) for index in range(2)] == kept
    assert all(address is book.at(address.branch, address.index) for address in kept)


def test_an_activated_appliance_has_its_first_addresses_derived() -> None:
    with Bench().activated() as bench:
        current = bench.keeper.session.current
        assert current is not None
        assert set(current.book._addresses) == {(0, 0), (0, 1), (1, 0), (1, 1)}
