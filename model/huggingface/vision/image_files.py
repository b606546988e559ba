"""Reading an image file for a vision model: checked, rotated upright, converted to RGB."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from model.errors import InputError
from model.structures.file_content import file_content

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")  # none of these can start another program, as EPS does
MAX_PIXELS, MIN_SIDE, MAX_ASPECT = 40_000_000, 8, 20
PictureSource = str | Path | bytes | Image.Image


def read_picture(source: PictureSource) -> tuple[Image.Image, tuple[tuple[str, str], ...]]:
    """A picture in RGB, and notes (id, detail) on what was changed in it.

    Args:
        source: a path, the bytes of a file, or a PIL image.

    Raises:
        InputError: it is no picture, has more bytes than are read or more than `MAX_PIXELS`, is cut off, or has fewer
            than `MIN_SIDE` pixels or more than `MAX_ASPECT` times the shorter side on a side.
    """
    picture = source if isinstance(source, Image.Image) else _open_image(source)
    width, height = picture.size
    size = {"width": width, "height": height}
    if width * height > MAX_PIXELS:
        message = f"The picture has {width} × {height} pixels; at most {MAX_PIXELS:,} are read."
        raise InputError("picture_large", message, **size)
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_ASPECT * min(width, height):
        message = (
            f"The picture has {width} × {height} pixels; it must be {MIN_SIDE} or more wide and high, and no strip."
        )
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
            transparent = picture.convert("RGBA")
            picture = Image.alpha_composite(Image.new("RGBA", transparent.size, "white"), transparent)
        return picture.convert("RGB"), tuple(notes)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError("picture_broken", "The picture cannot be read to its end.") from error


def _open_image(source: str | Path | bytes) -> Image.Image:
    """A PIL image of a file, not yet decoded."""
    content = file_content(source, "picture")
    try:
        return Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise InputError("picture_none", f"This is no picture: give one of {', '.join(FORMATS)}.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError("picture_large", str(error), width="more than 10,000", height="10,000") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError("picture_broken", f"The picture cannot be opened: {error}") from error
