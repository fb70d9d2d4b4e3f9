"""Write output files whole or not at all."""

import io
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_segmoe.errors import ConfigError


def write_files(folder: Path, contents: Mapping[str, bytes]) -> tuple[Path, ...]:
    """Write several files that belong together.

    All are first written under temporary names and renamed only when every one is
    complete; after a failure (full disk) no temporary file stays.

    Parameters
    ----------
    folder : Path
        Made where it is missing.
    contents : mapping of str to bytes
        What goes into each file.

    Returns
    -------
    tuple of Path
        The files, in the order of ``contents``.

    Raises
    ------
    ConfigError
        If ``folder`` is a file.
    OSError
        If the disk is full or may not be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; --out needs a folder.")
    folder.mkdir(parents=True, exist_ok=True)
    waiting: list[tuple[Path, Path]] = []
    try:
        for name, content in contents.items():
            waiting.append((_write_temporary(folder, content), folder / name))
        for temporary, final in waiting:
            temporary.replace(final)
    finally:
        for temporary, _ in waiting:
            temporary.unlink(missing_ok=True)
    return tuple(final for _, final in waiting)


def write_report(path: Path, report: Any) -> None:
    """Write one JSON file whole or not at all."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; --out needs a file name here.")
    write_files(path.parent, {path.name: encode_json(report)})


def encode_json(value: Any) -> bytes:
    """Encode a value as indented UTF-8 JSON."""
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def encode_png(pixels: NDArray) -> bytes:
    """Encode an image as PNG.

    Parameters
    ----------
    pixels : (H, W) or (H, W, 3) uint8, or (H, W) uint16
        The image.
    """
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG")
    return buffer.getvalue()


def _write_temporary(folder: Path, content: bytes) -> Path:
    handle, name = tempfile.mkstemp(dir=folder, prefix=".segmoe-", suffix=".part")
    path = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        path.chmod(0o644)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return path
