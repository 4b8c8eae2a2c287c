"""zbar by pyzbar: slower than zxing-cpp, and weak above version 20; for a host that has nothing else."""

from __future__ import annotations

from undercroft_protocol.errors import QrError
from undercroft_protocol.qr.picture import Picture

from .sight import MOST_CODES, Sight, enlarged, text_of, within_bounds

try:
    from pyzbar import pyzbar
    from pyzbar.pyzbar_error import PyZbarError
except ImportError as error:  # also when the package is there and the system has no libzbar.so.0
    raise QrError("pyzbar, or the zbar library (libzbar0) that it needs, is not installed") from error


class ZbarEye:
    """Reads with zbar. It reads no inverted codes."""

    def look(self, picture: Picture) -> list[Sight]:
        """See Eye."""
        picture, factor = within_bounds(picture)
        pixels = (picture.grey, picture.width, picture.height)
        try:
            codes = pyzbar.decode(pixels, symbols=[pyzbar.ZBarSymbol.QRCODE])
        except (PyZbarError, ValueError, TypeError, MemoryError) as error:
            raise QrError("zbar failed on a picture") from error
        sights: dict[str, Sight] = {}
        for code in codes:
            text = text_of(code.data)
            if text is not None and len(sights) < MOST_CODES:
                corners = tuple((int(point.x), int(point.y)) for point in code.polygon)
                sights.setdefault(text, Sight(text, corners))
        return enlarged(sights.values(), factor)
