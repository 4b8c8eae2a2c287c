"""The CSV file of withdrawals: the whole file is understood, or it is refused, naming line and column."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Final

from undercroft_protocol.bitcoin.network import Network

from ..errors import CsvInvalid, HostError
from ..money import sats_from_text
from .addresses import checked_name, payable_script

HEADER: Final = ("id", "account", "address", "amount_sats")

_MOST_BYTES: Final = 8 * 1024 * 1024
_MOST_LINES: Final = 10_000
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class CsvLine:
    """One order; ``number`` is its line in the file, the header being line 1."""

    number: int
    id: str
    account: str
    address: str
    amount_sats: int


def parse_csv(text: str, network: Network) -> list[CsvLine]:
    """Every line of a file with the header ``id,account,address,amount_sats``; raises CsvInvalid.

    A byte order mark and CRLF line ends are accepted.
    """
    if len(text) > _MOST_BYTES:
        raise CsvInvalid(f"more than {_MOST_BYTES} characters")
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    lines: list[CsvLine] = []
    first_use: dict[str, int] = {}
    try:
        header = next(reader, [])
        if tuple(header) != HEADER:
            raise CsvInvalid(f"line 1: the header must be {','.join(HEADER)}")
        for cells in reader:
            line = _line(reader.line_num, cells, network)
            # The same order twice in one file is a slip of the hand, even with the same content.
            if line.id in first_use:
                raise _wrong(line.number, "id", f"{line.id!r} stands in line {first_use[line.id]} already")
            first_use[line.id] = line.number
            lines.append(line)
            if len(lines) > _MOST_LINES:
                raise CsvInvalid(f"more than {_MOST_LINES} withdrawals")
    except csv.Error as error:
        raise CsvInvalid(f"line {reader.line_num}: {error}") from None
    if not lines:
        raise CsvInvalid("there is no withdrawal in it")
    return lines


def _line(number: int, cells: list[str], network: Network) -> CsvLine:
    if len(cells) != len(HEADER):
        raise CsvInvalid(f"line {number}: {len(cells)} columns, not {len(HEADER)}")
    for column, cell in zip(HEADER, cells, strict=True):
        if not cell:
            raise _wrong(number, column, "it is empty")
        # Attack: a cell that a spreadsheet runs when somebody opens the file to check it.
        if cell.startswith(_FORMULA_STARTS) and not (column == "amount_sats" and cell[1:2].isdigit()):
            raise _wrong(number, column, f"{cell[:40]!r} is a formula")
        if not (cell.isascii() and cell.isprintable()):
            raise _wrong(number, column, "only printable ASCII is allowed")
    id, account, address, amount = cells
    column = "id"
    try:
        checked_name(id)
        column = "account"
        checked_name(account)
        column = "address"
        payable_script(address, network)
        column = "amount_sats"
        amount_sats = sats_from_text(amount)
    except HostError as error:
        about = error.detail
        raise _wrong(number, column, about) from None
    return CsvLine(number, id, account, address, amount_sats)


def _wrong(number: int, column: str, why: str) -> CsvInvalid:
    return CsvInvalid(f"line {number}, column {column}: {why}")
