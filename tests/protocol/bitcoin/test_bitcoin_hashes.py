"""Hash functions against their publication and against embit."""

from __future__ import annotations

import hashlib

import pytest
from embit import hashes as embit_hashes
from hypothesis import given
from hypothesis import strategies as st

from bitcoin_examples import vectors
from undercroft_protocol.bitcoin import hashes


@pytest.mark.parametrize("vector", vectors("ripemd160")["vectors"], ids=lambda v: repr(v["message"][:10]))
def test_ripemd160_gives_the_hashes_of_its_publication(vector: dict[str, str | int]) -> None:
    message = str(vector["message"]).encode() * int(vector["repeat"])
    assert hashes.ripemd160(message).hex() == vector["hash"]
    assert hashes.ripemd160_written_out(message).hex() == vector["hash"]


@given(st.binary(max_size=300))
def test_ripemd160_agrees_with_embit_for_every_length_of_padding(data: bytes) -> None:
    assert hashes.ripemd160(data) == hashes.ripemd160_written_out(data) == embit_hashes.ripemd160(data)
    assert hashes.hash160(data) == embit_hashes.hash160(data)


@pytest.mark.parametrize("has", [True, False])
def test_ripemd160_is_openssls_only_where_it_is_there(has: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str, data: bytes) -> object:
        raise ValueError(f"unsupported hash type {name}, {len(data)} bytes")

    if not has:
        monkeypatch.setattr(hashlib, "new", without)
    monkeypatch.setattr(hashes, "_OPENSSL_HAS_RIPEMD160", hashes._openssl_has_ripemd160())
    assert hashes.ripemd160(b"abc").hex() == "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"


@given(st.binary(max_size=100))
def test_double_and_tagged_hashes_agree_with_embit(data: bytes) -> None:
    assert hashes.double_sha256(data) == embit_hashes.double_sha256(data)
    assert hashes.tagged_hash("TapLeaf", data) == embit_hashes.tagged_hash("TapLeaf", data)
