"""A picture as a vision model can read it: opened safely, turned upright, in plain RGB."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from model.errors import InputError

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")  # none of these can start another program, as EPS does
MOST_BYTES, MOST_PIXELS, FEWEST, LONGEST = 20_000_000, 40_000_000, 8, 20
Given = str | Path | bytes | Image.Image


def read_picture(given: Given) -> tuple[Image.Image, tuple[tuple[str, str], ...]]:
    """Open a picture by its path, its bytes or as it is.

    Returns:
        The picture in RGB, and notes (id, detail) on what had to be changed for that.

    Raises:
        InputError: no picture, too large, cut off, or of a shape that cannot be cut into patches.
    """
    picture = given if isinstance(given, Image.Image) else _opened(given)
    width, height = picture.size
    size = {"width": width, "height": height}
    if width * height > MOST_PIXELS:
        message = f"The picture has {width} × {height} pixels; at most {MOST_PIXELS:,} are read."
        raise InputError("picture_large", message, **size)
    if min(width, height) < FEWEST or max(width, height) > LONGEST * min(width, height):
        message = f"The picture has {width} × {height} pixels; it must be {FEWEST} or more wide and high, and no strip."
        raise InputError("picture_shape", message, **size)
    notes = []
    frames = getattr(picture, "n_frames", 1)
    if frames > 1:
        notes.append(("picture_animated", str(frames)))
    try:
        picture.load()
        picture = ImageOps.exif_transpose(picture)
        if picture.mode == "CMYK":
            notes.append(("picture_cmyk", ""))
        if picture.mode.startswith("I"):  # 16 bits of grey; Pillow alone would cut off all above 255
            picture = Image.fromarray((np.asarray(picture) >> 8).clip(0, 255).astype(np.uint8))
        if picture.has_transparency_data:
            notes.append(("picture_alpha", ""))
            clear = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
        return picture.convert("RGB"), tuple(notes)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError("picture_broken", f"The picture cannot be read to its end: {error}") from error


def _opened(given: str | Path | bytes) -> Image.Image:
    try:
        content = given if isinstance(given, bytes) else Path(given).read_bytes()
    except (OSError, ValueError) as error:
        raise InputError("picture_missing", f"There is no picture {str(given)!r}.") from error
    if len(content) > MOST_BYTES:
        megabytes = len(content) // 1_000_000
        raise InputError("picture_heavy", f"The file has {megabytes} MB; at most 20 are read.", megabytes=megabytes)
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise InputError("picture_none", f"This is no picture: give one of {', '.join(FORMATS)}.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError("picture_large", str(error), width="more than 10,000", height="10,000") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError("picture_broken", f"The picture cannot be opened: {error}") from error
