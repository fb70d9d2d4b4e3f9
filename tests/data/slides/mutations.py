"""Seeded damage to copies of slides: flipped bytes, cuts, zeroed and doubled parts."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.data.slides.made_slides import copy_writable

_FLIPS = (1, 4, 32, 400)
_HEADER_BYTES = 2048


@dataclass(frozen=True, slots=True)
class Mutation:
    """One damaged copy: where it lies and what was done, for messages."""

    path: Path
    what: str


def mutate(source: Path, folder: Path, *, seed: int) -> Mutation:
    """Copy a slide (a file or a folder) and damage one file of it.

    The same seed gives the same damage.
    """
    rng = np.random.default_rng(seed)
    copy = copy_writable(source, folder / f"{seed:04d}-{source.name}")
    file = _choose_file(copy, rng)
    content = bytearray(file.read_bytes())
    kind = rng.choice(["flip", "flip header", "flip header", "cut", "zero", "flip+cut"])
    if "flip" in kind:
        at = _places(file, content, rng, near_headers="header" in kind)
        for place in at:
            content[place] ^= int(rng.integers(1, 256))
        kind = f"{len(at)} {kind}"
    if "cut" in kind:
        content = content[: int(rng.integers(0, len(content)))]
    if kind == "zero":
        start = int(rng.integers(0, len(content)))
        length = int(rng.integers(1, 1 << int(rng.integers(1, 16))))
        content[start : start + length] = bytes(len(content[start : start + length]))
    file.write_bytes(content)
    return Mutation(copy, f"seed {seed}: {kind} in {file.relative_to(folder)}")


def _choose_file(copy: Path, rng: np.random.Generator) -> Path:
    """Return the file to damage: often one that describes, or the largest."""
    if copy.is_file():
        return copy
    files = sorted(
        file for file in copy.rglob("*") if file.is_file() and file.stat().st_size
    )
    describing = [
        file for file in files if file.suffix == ".json" or "/.z" in str(file)
    ]
    largest = max(files, key=lambda file: file.stat().st_size)
    groups = [files, describing or [largest], [largest]]
    chosen = groups[int(rng.integers(len(groups)))]
    return chosen[int(rng.integers(len(chosen)))]


def _places(
    file: Path, content: bytearray, rng: np.random.Generator, *, near_headers: bool
) -> list[int]:
    count = int(rng.choice(_FLIPS[:3] if near_headers else _FLIPS))
    if not near_headers:
        return [int(n) for n in rng.integers(0, len(content), count)]
    starts = _header_starts(file)
    start = starts[int(rng.integers(len(starts)))]
    end = min(start + _HEADER_BYTES, len(content))
    return [int(n) for n in rng.integers(start, end, count)]


def _header_starts(file: Path) -> list[int]:
    """Return where a file describes itself: its start, and a TIFF's directories."""
    start = file.open("rb").read(4)
    if start not in {b"II*\0", b"MM\0*"}:
        return [0]
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        pages = list(tiff.pages)
        tiles = [offset for page in pages for offset in page.dataoffsets[:2]]
        return [0, *(page.offset for page in pages), *tiles]
