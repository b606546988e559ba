"""A link as a QR code."""

from __future__ import annotations

import segno


def qr_code(link: str) -> segno.QRCode | None:
    """The link as a QR code; None where it is longer than one can hold."""
    try:
        return segno.make(link, error="l", micro=False)
    except segno.DataOverflowError:
        return None
