"""A name for a slide's content that reads little of it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

_BLOCK = 64 * 1024
_BLOCKS = 8
_MOST_FILES = 4096
_LENGTH = 32


def fingerprint(path: Path) -> str:
    """Return a hexadecimal name of what a file or folder holds.

    The same content has the same name wherever it lies; it is made of sizes, the
    beginning, the end and blocks between, so that a slide is named in milliseconds.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    digest = hashlib.sha256()
    for name, file in _files(Path(path)):
        size = file.stat().st_size
        digest.update(f"{name}:{size};".encode())
        if name == "" or size <= _BLOCK:
            _add_blocks(digest, file, size)
    return digest.hexdigest()[:_LENGTH]


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """Return the file itself; of a folder its first files, by name within it."""
    if not path.is_dir():
        yield "", path
        beside = path.with_suffix("")  # a MIRAX slide's pixels
        if path.suffix.lower() != ".mrxs" or not beside.is_dir():
            return
        path = beside
    found = 0
    for file in sorted(path.rglob("*")):
        if file.is_file():
            yield file.relative_to(path).as_posix(), file
            found += 1
        if found >= _MOST_FILES:
            return


def _add_blocks(digest: "hashlib._Hash", file: Path, size: int) -> None:
    step = max((size - _BLOCK) // (_BLOCKS - 1), 1)
    with file.open("rb") as opened:
        for start in range(0, max(size - _BLOCK, 0) + 1, step):
            opened.seek(start)
            digest.update(opened.read(_BLOCK))
