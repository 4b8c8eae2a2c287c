"""PSBTs in files come as bytes or in base 64, and go back as they came."""

from __future__ import annotations

import base64
import binascii
from typing import Final

from undercroft_protocol.bitcoin.psbt_records import MAGIC, MAX_PSBT_BYTES

from .errors import UsageProblem

MAX_PSBT_FILE_BYTES: Final = MAX_PSBT_BYTES // 3 * 4 + 1024
"""The largest PSBT in base 64, and some white space around it."""

_BASE64_MAGIC: Final = b"cHNidP"


def is_psbt(data: bytes) -> bool:
    """Whether a file begins as a PSBT does, in either form."""
    return data.startswith(MAGIC) or data.lstrip().startswith(_BASE64_MAGIC)


def decoded_psbt(data: bytes) -> tuple[bytes, bool]:
    """A PSBT, unread, and whether it came in base 64. Raises UsageProblem for broken base 64."""
    if data.startswith(MAGIC) or not is_psbt(data):
        return data, False
    try:
        return base64.b64decode(data.strip(), validate=True), True
    except binascii.Error as error:
        raise UsageProblem(f"broken base 64: {error}") from error


def encoded_psbt(psbt: bytes, *, in_base64: bool) -> bytes:
    """The content of a file with it."""
    return base64.b64encode(psbt) + b"\n" if in_base64 else psbt
