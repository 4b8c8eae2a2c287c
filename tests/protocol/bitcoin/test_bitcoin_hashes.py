"""Hash functions against their publication and against embit."""

from __future__ import annotations

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


@given(st.binary(max_size=300))
def test_ripemd160_agrees_with_embit_for_every_length_of_padding(data: bytes) -> None:
    assert hashes.ripemd160(data) == embit_hashes.ripemd160(data)
    assert hashes.hash160(data) == embit_hashes.hash160(data)


@given(st.binary(max_size=100))
def test_double_and_tagged_hashes_agree_with_embit(data: bytes) -> None:
    assert hashes.double_sha256(data) == embit_hashes.double_sha256(data)
    assert hashes.tagged_hash("TapLeaf", data) == embit_hashes.tagged_hash("TapLeaf", data)
