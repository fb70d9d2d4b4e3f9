"""The pixels behind a project's images, found through `local.json`."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.images import read_image
from napari_segmoe.data.slides.fingerprint import fingerprint
from napari_segmoe.data.slides.region import SlideRegion
from napari_segmoe.errors import ImageReadError, ProjectError
from napari_segmoe.project.local_files import note_paths, read_paths
from napari_segmoe.project.records import ImageRecord, PixelBox

_MOST_LOOKED_AT = 4096
_ZARR = ".zarr"  # a slide that is a folder

Pixels = NDArray[np.uint8]


@dataclass
class Pictures:
    """Reads parts of a project's images; remembers what is missing.

    Attributes
    ----------
    project : Path
    missing : dict of str to str
        By image: one sentence of why it is left out.
    """

    project: Path
    missing: dict[str, str] = field(default_factory=dict)
    _paths: Mapping[str, Path] | None = None
    _last: tuple[str, Pixels] | None = None
    _seen: dict[str, Path] = field(default_factory=dict)
    _unseen: Iterator[Path] | None = None

    def read(self, record: ImageRecord, box: PixelBox) -> Pixels | None:
        """Return a part of an image, (h, w) or (h, w, 3) uint8; None if it is missing.

        Parameters
        ----------
        record : ImageRecord
        box : (y0, x0, y1, x1)
            In the image's own pixels.
        """
        if record.name in self.missing:
            return None
        path = self._find(record)
        if path is None:
            self.missing[record.name] = (
                f"{record.name} is left out: its file is not where it was. Open it once"
                " from where it is now, or put it back."
            )
            return None
        try:
            return self._read(record, path, box)
        except (ImageReadError, OSError) as error:
            reason = type(error).__name__ if isinstance(error, OSError) else "damaged"
            self.missing[record.name] = (
                f"{record.name} is left out: its file cannot be read ({reason})."
            )
            return None

    def _read(self, record: ImageRecord, path: Path, box: PixelBox) -> Pixels | None:
        if record.region is not None:
            place = record.region
            region = SlideRegion(path, place.origin_yx, place.step_yx, record.shape)
            return region.read(box)
        if self._last is None or self._last[0] != record.name:
            pixels = read_image(path, frame=record.frame).pixels
            if pixels.shape[:2] != record.shape:
                self.missing[record.name] = (
                    f"{record.name} is left out: its file is {pixels.shape[0]} x"
                    f" {pixels.shape[1]} px, its labels {record.shape[0]} x"
                    f" {record.shape[1]}."
                )
                return None
            self._last = (record.name, pixels)
        y0, x0, y1, x1 = box
        return self._last[1][y0:y1, x0:x1]

    def _find(self, record: ImageRecord) -> Path | None:
        if self._paths is None:
            self._paths = read_paths(self.project)
        path = self._paths.get(record.fingerprint)
        if path is not None and _is(path, record.fingerprint):
            return path
        return self._search(record.fingerprint)

    def _search(self, wanted: str) -> Path | None:
        """Look for a moved file where the project's other files and itself lie."""
        if self._unseen is None:
            self._unseen = self._near()
        while wanted not in self._seen:
            path = next(self._unseen, None)
            if path is None:
                return None
            with suppress(OSError):
                self._seen[fingerprint(path)] = path
        path = self._seen[wanted]
        with suppress(ProjectError):  # a read-only project serves all the same
            note_paths(self.project, {wanted: path})
        self._paths = {**(self._paths or {}), wanted: path}
        return path

    def _near(self) -> Iterator[Path]:
        known = list((self._paths or {}).values())
        folders = dict.fromkeys(path.parent for path in known)
        folders |= dict.fromkeys([self.project.parent])
        count = 0
        for folder in folders:
            if not folder.is_dir():
                continue
            for path in sorted(folder.iterdir()):
                count += 1
                if count > _MOST_LOOKED_AT:
                    return
                if path.is_file() or path.suffix == _ZARR:
                    yield path


def _is(path: Path, wanted: str) -> bool:
    try:
        return path.exists() and fingerprint(path) == wanted
    except OSError:
        return False
