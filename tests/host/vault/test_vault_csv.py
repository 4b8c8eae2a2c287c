"""A CSV file is taken whole or not at all."""

from __future__ import annotations

import pytest

from exchange import OUTSIDER, Ticking, endow
from undercroft_host.errors import CsvInvalid, HostError, InsufficientFunds, OwnAddress, WithdrawalConflict
from undercroft_host.store.engine import Store
from undercroft_host.store.tables import Withdrawal
from undercroft_host.treasury import ledger
from undercroft_host.vault.withdrawals import ImportReport, import_csv
from undercroft_protocol.messages import Quorum

HEADER = "id,account,address,amount_sats\n"
LINES = (f"w1,alice,{OUTSIDER},1000", f"w2,alice,{OUTSIDER},2000", f"w3,alice,{OUTSIDER},3000")
GOOD = HEADER + "\n".join(LINES) + "\n"


@pytest.fixture
def rich(store: Store, quorum: Quorum) -> Store:
    endow(store, quorum, "alice", 100_000)
    return store


def take(store: Store, quorum: Quorum, text: str) -> ImportReport:
    with store.begin("test") as session:
        return import_csv(session, text, quorum=quorum, clock=Ticking())


def test_file_is_taken_and_the_same_file_again_changes_nothing(rich: Store, quorum: Quorum) -> None:
    assert take(rich, quorum, GOOD) == ImportReport(3, 0, 6000, ("w1", "w2", "w3"))
    assert take(rich, quorum, GOOD) == ImportReport(0, 3, 6000, ("w1", "w2", "w3"))
    with rich.read() as session:
        assert ledger.customer_balance(session, "alice") == 94_000


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.rstrip("\n"),
        GOOD.replace("w2", '"w2"'),
    ],
    ids=["byte order mark", "CRLF", "no last newline", "quoted"],
)
def test_file_as_spreadsheets_write_it_is_taken(rich: Store, quorum: Quorum, text: str) -> None:
    assert take(rich, quorum, text).added == 3


def with_line(line: str) -> str:
    """The good file with another second order, which stands in line 3."""
    return HEADER + "\n".join((LINES[0], line, LINES[2])) + "\n"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "line 1: the header"),
        (LINES[0], "line 1: the header"),
        (HEADER.replace("amount_sats", "amount"), "line 1: the header"),
        (HEADER.replace(",", ";") + LINES[0], "line 1: the header"),
        (HEADER, "no withdrawal"),
        (with_line(""), "line 3: 0 columns"),
        (with_line(f"w2,alice,{OUTSIDER}"), "line 3: 3 columns"),
        (with_line(f"w2,alice,{OUTSIDER},1,2"), "line 3: 5 columns"),
        (with_line(f",alice,{OUTSIDER},2000"), "line 3, column id: it is empty"),
        (with_line(f"w 2,alice,{OUTSIDER},2000"), "line 3, column id"),
        (with_line(f"w1,alice,{OUTSIDER},1000"), "line 3, column id: 'w1' stands in line 2"),
        (with_line(f"w2,al ice,{OUTSIDER},2000"), "line 3, column account"),
        (with_line(f"w2,alìce,{OUTSIDER},2000"), "line 3, column account"),
        (with_line("w2,alice,bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4,2000"), "line 3, column address.*mainnet"),
        (with_line(f"w2,alice,{OUTSIDER[:-1]}q,2000"), "line 3, column address"),
        (with_line(f"w2,alice, {OUTSIDER},2000"), "line 3, column address"),
        (with_line(f"w2,alice,{OUTSIDER},0.5"), "line 3, column amount_sats.*did you mean 50000000"),
        (with_line(f'w2,alice,{OUTSIDER},"1,000"'), "line 3, column amount_sats.*did you mean 1000"),
        (with_line(f"w2,alice,{OUTSIDER},1e5"), "line 3, column amount_sats"),
        (with_line(f"w2,alice,{OUTSIDER},0"), "line 3, column amount_sats"),
        (with_line(f"w2,alice,{OUTSIDER},-5"), "line 3, column amount_sats"),
        (with_line(f"=w2,alice,{OUTSIDER},2000"), "line 3, column id.*formula"),
        (with_line(f"w2,alice,{OUTSIDER},=SUM(A1)"), "line 3, column amount_sats.*formula"),
        (with_line(f"w2,@alice,{OUTSIDER},2000"), "line 3, column account.*formula"),
        (with_line(f'w2,"alice,{OUTSIDER},2000'), "line"),
        (with_line(f'w2,"alice"x,{OUTSIDER},2000'), "line 3"),
        (with_line(f'w2,"ali\nce",{OUTSIDER},2000'), "column account"),
        (with_line(f"w2,ali\0ce,{OUTSIDER},2000"), "line 3"),
    ],
)
def test_file_with_one_bad_line_is_refused_as_a_whole(rich: Store, quorum: Quorum, text: str, where: str) -> None:
    with pytest.raises(CsvInvalid, match=where) as refused:
        take(rich, quorum, text)
    assert "nothing of it was taken" in refused.value.hint
    with rich.read() as session:
        assert session.query(Withdrawal).count() == 0


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (f"w2,alice,{OUTSIDER},98000", InsufficientFunds),
        ("w2,alice,OURS,2000", OwnAddress),
    ],
)
def test_order_that_a_rule_refuses_takes_the_file_with_it(
    rich: Store, quorum: Quorum, line: str, error: type[HostError]
) -> None:
    with pytest.raises(error, match=r"line [34]: "):
        take(rich, quorum, with_line(line.replace("OURS", quorum.descriptor().address(0, 0))))
    with rich.read() as session:
        assert session.query(Withdrawal).count() == 0
        assert ledger.customer_balance(session, "alice") == 100_000


def test_attack_known_id_with_another_amount_takes_the_file_with_it(rich: Store, quorum: Quorum) -> None:
    take(rich, quorum, HEADER + LINES[1])
    with pytest.raises(WithdrawalConflict, match="line 3: w2"):
        take(rich, quorum, with_line(f"w2,alice,{OUTSIDER},2001"))
    with rich.read() as session:
        assert session.query(Withdrawal).count() == 1


def test_file_of_too_many_orders_is_refused(rich: Store, quorum: Quorum) -> None:
    text = HEADER + "".join(f"w{number},alice,{OUTSIDER},1000\n" for number in range(10_001))
    with pytest.raises(CsvInvalid, match="10000"):
        take(rich, quorum, text)
