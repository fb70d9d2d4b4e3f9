"""TIFF slides that tests write, with pixels, scale and bounds that are known."""

from pathlib import Path

import numpy as np
import tifffile

from tests.data.slides.made_slides import halved


def pyramid_of(pixels, levels=3):
    """Return [level 0, half of it, a quarter of it ...]."""
    found = [pixels]
    while len(found) < levels:
        found.append(halved(found[-1]))
    return found


def write_subifds(path: Path, levels, *, metadata=None, **options):
    """Write an OME-TIFF whose levels hang below the first page."""
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(
            levels[0], subifds=len(levels) - 1, metadata=metadata or {}, **options
        )
        for level in levels[1:]:
            tiff.write(level, subfiletype=1, **options)
    return path


def write_pages(path: Path, levels, *, reduced=True, **options):
    """Write one page a level, one after the other, as libvips does."""
    with tifffile.TiffWriter(path) as tiff:
        for number, level in enumerate(levels):
            kind = 1 if reduced and number else 0
            tiff.write(level, subfiletype=kind, metadata=None, **options)
    return path


def write_leica(path: Path, pixels, *, origin_yx, collection_yx, nm_per_px=500):
    """Write a Leica SCN file: one scanned area, with bounds, on a larger slide."""
    (height, width), (y, x) = pixels.shape[:2], origin_yx
    levels = pyramid_of(pixels, 2)
    area = ((height * nm_per_px, width * nm_per_px), (y * nm_per_px, x * nm_per_px))
    whole = tuple(side * nm_per_px for side in collection_yx)
    dimensions = "".join(
        f'<dimension sizeX="{level.shape[1]}" sizeY="{level.shape[0]}" r="{n}" '
        f'ifd="{n}"/>'
        for n, level in enumerate(levels)
    )
    text = f"""<?xml version="1.0"?>
<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01" uuid="urn:uuid:1">
<collection name="c" uuid="urn:uuid:2" sizeX="{whole[1]}" sizeY="{whole[0]}">
<image name="i" uuid="urn:uuid:3"><creationDate>2020-01-01T00:00:00Z</creationDate>
<device model="M" version="1"/>
<pixels sizeX="{width}" sizeY="{height}">{dimensions}</pixels>
<view sizeX="{area[0][1]}" sizeY="{area[0][0]}" offsetX="{area[1][1]}"
 offsetY="{area[1][0]}" spacingZ="0"/>
<scanSettings><objectiveSettings><objective>20</objective></objectiveSettings>
<illuminationSettings><numericalAperture>0.4</numericalAperture>
<illuminationSource>brightfield</illuminationSource></illuminationSettings>
</scanSettings></image></collection></scn>"""
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        for number, level in enumerate(levels):
            tiff.write(
                level,
                tile=(64, 64),
                photometric="rgb",
                description=text if number == 0 else None,
                metadata=None,
                subfiletype=1 if number else 0,
            )
    return levels


def damage(path: Path, start: int, values: bytes) -> None:
    """Overwrite bytes of a file."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(values)


def outside_is_white(read, shape):
    """Assert what a reader returns beyond a level of (H, W)."""
    height, width = shape
    pixels = read((-5, -7, height + 3, width + 4))
    assert pixels.shape == (height + 8, width + 11, 3)
    np.testing.assert_array_equal(pixels[:5], 255)
    np.testing.assert_array_equal(pixels[:, :7], 255)
    np.testing.assert_array_equal(pixels[height + 5 :], 255)
    np.testing.assert_array_equal(pixels[:, width + 7 :], 255)
    return pixels[5 : 5 + height, 7 : 7 + width]
