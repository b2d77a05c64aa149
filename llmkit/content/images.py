"""Conversion of images for providers: photos upright, arrays as PNG. Pillow is a dependency of matplotlib."""

from __future__ import annotations

import io
from typing import Any

from llmkit.core.errors import InvalidRequestError

ORIENTATION = 0x0112
"""The EXIF tag for orientation."""

_MARKS = (b"Exif", b"eXIf", b"EXIF")
"""Without any of these there is no orientation, and Pillow is not needed."""


def upright(data: bytes) -> bytes:
    """Rotate a photo as its EXIF orientation says, because models only see the pixels."""
    if not any(mark in data for mark in _MARKS):
        return data
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data)) as picture:
            turned = picture.getexif().get(ORIENTATION, 1) not in {None, 1}
            # Saving an animation would keep only one of its frames.
            if not turned or getattr(picture, "n_frames", 1) > 1:
                return data
            return _saved(ImageOps.exif_transpose(picture), picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return data  # the provider reports what is wrong with it


def transposed(picture: Any) -> Any:
    """Return a Pillow image upright."""
    from PIL import ImageOps

    return ImageOps.exif_transpose(picture)


def from_array(array: Any) -> bytes:
    """Return an array of pixels as PNG."""
    import numpy as np
    from PIL import Image

    pixels = np.asarray(array)
    # Pillow has no mode for a third axis with one channel.
    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    # As in matplotlib: integers go up to 255, floats up to 1.
    most = 255 if flat.dtype.kind in "iu" else 1
    if not _is_picture(flat, most):
        raise _no_pixels(pixels)
    scaled = flat if most == 255 else np.round(flat.astype(float) * 255)
    return _png(Image.fromarray(np.ascontiguousarray(scaled.astype(np.uint8))))


def _is_picture(pixels: Any, most: int) -> bool:
    """Whether an array has the shape and the values of a picture."""
    colored = pixels.ndim == 3 and pixels.shape[2] in {3, 4}
    if not pixels.size or not (pixels.ndim == 2 or colored) or pixels.dtype.kind not in "biuf":
        return False
    return bool(((pixels >= 0) & (pixels <= most)).all())  # NaN is neither


def _no_pixels(array: Any) -> InvalidRequestError:
    return InvalidRequestError(
        f"An array of shape {array.shape} and type {array.dtype} is not a picture.",
        hint="Pass height x width (x 3 or 4) with values from 0 to 255 or 0.0 to 1.0, or attach a plot.",
    )


def _saved(turned: Any, original: Any) -> bytes:
    if original.format == "PNG":
        return _png(turned)
    file = io.BytesIO()
    options = {"icc_profile": original.info["icc_profile"]} if "icc_profile" in original.info else {}
    turned.save(file, format=original.format, quality=95, **options)
    return file.getvalue()


def _png(picture: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, format="PNG", exif=b"")
    return file.getvalue()
