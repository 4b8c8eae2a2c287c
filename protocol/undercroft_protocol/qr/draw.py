"""Draws one QR code (ISO/IEC 18004, level L) with zxing-cpp, or with the `qrcode` package where that is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

from undercroft_protocol.errors import QrError, QrSizeError
from undercroft_protocol.qr.capacity import LAST_VERSION, capacity, mode_of, smallest_version
from undercroft_protocol.qr.picture import Matrix

# Imported now, not at the first code: an appliance cannot open files any more by then.
try:
    import zxingcpp
except ImportError:  # also when the package is there and a library of the system that it needs is not
    _HAVE_ZXING = False
else:
    _HAVE_ZXING = True

# Trying all eight masks for each code, as writers do, takes five times as long. One is as good: on blurred, noisy
# and tilted pictures of v27 and v40, full symbols were read equally often with each, mostly empty ones most often so.
MASK = 4

Writer = Callable[[str, int], Matrix]

_MODULE_OF_GREY = bytes(grey < 128 for grey in range(256))


def draw(text: str, *, version: int | None = None) -> Matrix:
    """One code with exactly this text; ``version`` None takes the smallest that holds it.

    Digits alone go in numeric mode, QR's alphanumeric set (capitals) in that, other ASCII as bytes. Raises QrSizeError
    when the text is too long, ValueError for an empty text, characters beyond ASCII and an impossible version.
    """
    if version is None:
        version = fitting_version(text)
    holds = capacity(mode_of(text), version)
    if len(text) > holds:
        raise QrSizeError(f"{len(text)} characters, and version {version} holds {holds}")
    return writer()(text, version)


def draw_alike(texts: Sequence[str], *, version: int | None = None) -> list[Matrix]:
    """One code for each text, all of one version, the smallest that holds every one by default. Raises as `draw`."""
    if version is None:
        version = max(fitting_version(text) for text in texts)
    return [draw(text, version=version) for text in texts]


def fitting_version(text: str) -> int:
    """The smallest version that holds this text. Raises QrSizeError, ValueError."""
    mode = mode_of(text)
    version = smallest_version(mode, len(text))
    if version is None:
        raise QrSizeError(f"{len(text)} characters, and the largest code holds {capacity(mode, LAST_VERSION)}")
    return version


def writer() -> Writer:
    """The best writer that is installed. Raises QrError when there is none."""
    if _HAVE_ZXING:
        return draw_with_zxing
    if find_spec("qrcode") is not None:
        return draw_with_qrcode
    raise QrError("nothing here can draw one; install zxing-cpp")


def draw_with_zxing(text: str, version: int) -> Matrix:
    """Draw with zxing-cpp, which must be there; the text must fit (see `draw`)."""
    code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, version=version, ec_level="L", data_mask=MASK)
    picture = memoryview(code.to_image(scale=1, add_quiet_zones=False))  # type: ignore[arg-type]
    return _checked(Matrix(len(picture), bytes(picture).translate(_MODULE_OF_GREY)), version)


def draw_with_qrcode(text: str, version: int) -> Matrix:
    """Draw with the `qrcode` package, which must be there; the text must fit (see `draw`)."""
    import qrcode  # noqa: PLC0415  (80 ms, for a fallback)

    code = qrcode.QRCode(version, error_correction=qrcode.ERROR_CORRECT_L, border=0, mask_pattern=MASK)
    # Cut into segments of several modes, a text could become longer than `capacity` says.
    code.add_data(text, optimize=0)
    code.make(fit=False)
    rows = code.get_matrix()
    return _checked(Matrix(len(rows), b"".join(map(bytes, rows))), version)


def _checked(matrix: Matrix, version: int) -> Matrix:
    # All codes of a stream have one size: a reader crops to the last one, a screen was measured for it.
    if matrix.version != version:
        raise QrError(f"the writer made version {matrix.version} where {version} was asked for")
    return matrix
