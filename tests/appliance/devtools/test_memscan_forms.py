"""Each form of a secret is found where a process holds that form only, whole or a part of it: no form is dead."""

from __future__ import annotations

import base64
import ctypes
import mmap
from collections.abc import Iterator

import pytest
from embit import bip39, ec
from embit.networks import NETWORKS

from appliance.devtools.memscan_support import KEY, Holder, holding, needs_root
from undercroft_appliance.devtools.memory_search import Search
from undercroft_appliance.devtools.secret_forms import EXTENDED_KEY, Secret, forms_of, words_missing
from undercroft_appliance.errors import ConfigurationError

SECRETS = (
    Secret(
        "key", KEY, ((EXTENDED_KEY, "tprv8ZgxMBicQKsPd" + "7Uf69XL1XwhmjHopUGep8GuEiJDZmbQz6o58LninorQAfcKZWARbtRtf"),)
    ),
    Secret.of_text("passphrase", "Vexing quartz 9153, jumbo flywheel"),
)
FORMS = {form.name: form for secret in reversed(SECRETS) for form in forms_of(secret)}


WHOLE_AT, PART_AT = 77, 3003
ALL = Search(SECRETS)
ONLY_KEY = Search(SECRETS[:1])


@pytest.fixture(scope="module")
def holder() -> Iterator[Holder]:
    with holding() as running:
        yield running


@needs_root
def test_a_process_that_holds_no_form_is_not_found(holder: Holder) -> None:
    holder.hold({})
    found = holder.scan(ALL)
    assert found.copies == ()
    assert found.read_bytes > 1_000_000


@needs_root
@pytest.mark.parametrize("name", FORMS)
def test_a_process_that_holds_one_form_only_is_found(holder: Holder, name: str) -> None:
    """Whole, and a part as short as one that counts, each at an odd address."""
    form = FORMS[name]
    skipped = (len(form.data) - form.least) // 2
    holder.hold({WHOLE_AT: form.data, PART_AT: form.data[skipped : skipped + form.least]})
    found = [copy for copy in holder.scan(ALL).copies if (copy.secret, copy.form) == (form.secret, form.name)]
    places = {copy.address % mmap.PAGESIZE: copy.size for copy in found}
    assert set(places) == {WHOLE_AT, PART_AT - skipped}
    assert places[WHOLE_AT] == len(form.data)
    assert not any(copy.region.guarded for copy in found)


@needs_root
@pytest.mark.parametrize("name", ["raw", "words", "hex, UTF-16", "hex, UTF-32"])
@pytest.mark.parametrize("alignment", range(8))
def test_any_part_of_the_shortest_length_is_found_at_any_alignment(holder: Holder, alignment: int, name: str) -> None:
    form = FORMS[name]
    last = len(form.data) - form.least
    places = {(form.least + 16) * at + alignment + 8: last * at // 16 for at in range(17)}
    holder.hold({at: form.data[skipped : skipped + form.least] for at, skipped in places.items()})
    found = [copy for copy in holder.scan(ONLY_KEY).copies if copy.form == name]
    assert {copy.address % mmap.PAGESIZE for copy in found} >= {at - skipped for at, skipped in places.items()}


@needs_root
def test_a_part_that_is_too_short_is_not_counted(holder: Holder) -> None:
    holder.hold({64: KEY[:15]})
    assert holder.scan(ALL).copies == ()


def test_the_forms_are_what_others_make_of_the_key() -> None:
    number = int.from_bytes(KEY, "big")
    forms = {form.name: form.data for form in reversed(forms_of(SECRETS[0]))}
    private = ec.PrivateKey(KEY)
    assert forms["base58 (WIF, mainnet)"] == private.wif(NETWORKS["main"]).encode()
    assert forms["base58 (WIF, testnet)"] == private.wif(NETWORKS["regtest"]).encode()
    assert forms["words"] == bip39.mnemonic_from_bytes(KEY).encode()
    assert forms["decimal"] == str(number).encode()
    assert forms["base64"] in base64.b64encode(KEY)
    assert forms["hex, upper case, UTF-32"] == KEY.hex().upper().encode("utf-32-le")
    # libsecp256k1's scalar: four 64-bit limbs, the lowest first.
    limbs = b"".join((number >> 64 * at & (1 << 64) - 1).to_bytes(8, "little") for at in range(4))
    assert forms["reversed"] == limbs
    assert words_missing() is None


def test_the_digits_of_a_python_int_are_those_that_lie_in_its_memory() -> None:
    number = int.from_bytes(KEY, "big")
    forms = {form.name: form.data for form in forms_of(SECRETS[0])}
    memory = ctypes.string_at(id(number), number.__sizeof__())
    assert forms["Python int"] in memory


def test_a_short_secret_is_refused_because_chance_would_find_it() -> None:
    with pytest.raises(ConfigurationError, match="by chance"):
        Secret("short", b"fifteen bytes !")


def test_a_secret_shows_no_secret() -> None:
    assert KEY.hex() not in repr(SECRETS[0])
    assert all(form.data.hex() not in repr(form) for form in FORMS.values())
