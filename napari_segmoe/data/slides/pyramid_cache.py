"""Where the made resolutions of slides are kept on disk, and for how long."""

import atexit
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from napari_segmoe.data.slides.fingerprint import fingerprint
from napari_segmoe.errors import SlideError

_LIMIT_BYTES = 10 << 30
# Another window may be reading what was used within this time.
_IN_USE_S = 3600.0
_USED = "used"
_VERSION = 1


def cache_root() -> Path:
    """Return the folder of all made resolutions; SEGMOE_CACHE moves it."""
    from platformdirs import user_cache_dir

    place = os.environ.get("SEGMOE_CACHE") or user_cache_dir("napari-segmoe", False)
    return Path(place) / "pyramids"


def cache_folder(path: Path, *, limit_bytes: int = _LIMIT_BYTES) -> Path:
    """Return the folder for the made resolutions of a slide; make room for it.

    Folders that were not used for longest are removed where all together hold more
    than ``limit_bytes``. Where the cache cannot be written, a temporary folder
    serves.

    Raises
    ------
    SlideError
        If the slide is not there.
    """
    try:
        # Content is sampled only: an edit in place shows in the time of change.
        name = f"{fingerprint(path)}-{path.stat().st_mtime_ns:x}-{_VERSION}"
    except OSError as error:
        raise SlideError(
            f"{path.name} cannot be read ({error.strerror or error}). Choose it again."
        ) from error
    folder = cache_root() / name
    try:
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            _remove_old(folder.parent, keep=folder, limit_bytes=limit_bytes)
        (folder / _USED).touch()
    except OSError:
        folder = Path(tempfile.mkdtemp(prefix="segmoe-pyramid-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _remove_old(root: Path, *, keep: Path, limit_bytes: int) -> None:
    """Remove the folders unused for longest until the rest is below the limit."""
    folders = [
        folder for folder in root.iterdir() if folder.is_dir() and folder != keep
    ]
    sizes = {folder: sum(_file_sizes(folder)) for folder in folders}
    total = sum(sizes.values())
    for folder in sorted(folders, key=_last_used):
        if total <= limit_bytes or time.time() - _last_used(folder) < _IN_USE_S:
            return
        shutil.rmtree(folder, ignore_errors=True)
        total -= sizes[folder]


def _file_sizes(folder: Path) -> Iterator[int]:
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                yield (Path(place) / name).stat().st_size
            except OSError:  # removed meanwhile by another window
                continue


def _last_used(folder: Path) -> float:
    try:
        return (folder / _USED).stat().st_mtime
    except OSError:
        return 0.0
