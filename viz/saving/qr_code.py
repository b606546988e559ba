"""QR code of a link."""

from __future__ import annotations

import segno


def qr_code(link: str) -> segno.QRCode | None:
    """QR code of a link; None where the link is too long for one."""
    try:
        return segno.make(link, error="l", micro=False)
    except segno.DataOverflowError:
        return None
