"""Bring a slide's colours to sRGB, as the colour profile in its file says."""

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

# Differences that 8-bit rounding makes between a profile of sRGB and ours.
_ROUNDING = 2
# Profiles of scanners have 0.5 to 3 MB; nobody embeds more than this.
_MAX_PROFILE_BYTES = 64 << 20
_BROKEN = (
    "The slide's colour profile is damaged or not for RGB; colours are shown as stored."
)


def usable_profile(profile: bytes | None) -> tuple[bytes | None, tuple[str, ...]]:
    """Return what is worth giving to `to_srgb`, and what there is to say about it.

    Parameters
    ----------
    profile : bytes or None
        An ICC profile as a file embeds it.

    Returns
    -------
    profile : bytes or None
        None where there is none, it changes nothing, or it cannot be used.
    notes : tuple of str
        A sentence where it cannot be used.
    """
    if not profile:
        return None, ()
    if _transform(profile) is None:
        return None, (_BROKEN,)
    return (None if is_srgb(profile) else profile), ()


def to_srgb(pixels: NDArray[np.uint8], profile: bytes | None) -> NDArray[np.uint8]:
    """Return pixels in sRGB; those of a broken profile, or of none, as they are.

    It may be called from several threads at once.

    Parameters
    ----------
    pixels : (h, w, 3) uint8
    profile : bytes or None
        An ICC profile of an RGB device; its own rendering intent is used.

    Returns
    -------
    (h, w, 3) uint8
    """
    if not profile or pixels.size == 0 or is_srgb(profile):
        return pixels
    transform = _transform(profile)
    return pixels if transform is None else _apply(transform, pixels)


@lru_cache(maxsize=16)
def is_srgb(profile: bytes) -> bool:
    """Whether a profile changes no colour by more than rounding does.

    A profile that cannot be used changes none.
    """
    transform = _transform(profile)
    if transform is None:
        return True
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(9, 81, 3)
    change = np.abs(_apply(transform, grid).astype(int) - grid)
    return int(change.max()) <= _ROUNDING


def _apply(
    transform: ImageCms.ImageCmsTransform, pixels: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    # Not applyTransform, which may return the image itself.
    return np.array(transform.apply(image))


@lru_cache(maxsize=16)
def _transform(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """Return the way from a profile to sRGB, or None where there is no such way."""
    if len(profile) > _MAX_PROFILE_BYTES:
        return None
    try:
        device = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if device.profile.xcolor_space.strip() != "RGB":
            return None
        return ImageCms.ImageCmsTransform(
            device,
            ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
            "RGB",
            "RGB",
            ImageCms.Intent(ImageCms.getDefaultIntent(device)),
        )
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
