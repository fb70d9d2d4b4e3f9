"""Label images of slide regions in zarr arrays on disk, written through at once."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from napari_segmoe.data.slides.region import SlideRegion
from napari_segmoe.errors import SlideError
from napari_segmoe.types import Spacing

CHUNK_PX = 512
FORMAT = "segmoe-region-labels"
VERSION = 1


class RegionStore:
    """A label image (H, W) uint32 in memory, each change of which is on disk at once.

    It is indexed like an array, so that napari's tools can edit it. Reads come from
    memory; writes go to memory and, whole chunks at a time, to a zarr array. Where
    the disk is full or gone, `failed` is emitted once and work goes on in memory.

    Parameters
    ----------
    shape : (H, W)
        Of the region.
    """

    failed = Signal(Exception)

    def __init__(self, shape: tuple[int, int]) -> None:
        self._labels = np.zeros(shape, np.uint32)
        self._disk: Any = None
        self.path: Path | None = None
        self.failure: SlideError | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self._labels.shape[0], self._labels.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always uint32."""
        return self._labels.dtype

    @property
    def ndim(self) -> int:
        """Always 2."""
        return 2

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self._labels.size

    @property
    def is_on_disk(self) -> bool:
        """Whether changes are written to disk."""
        return self._disk is not None

    def __len__(self) -> int:
        return self._labels.shape[0]

    def __getitem__(self, index: Any) -> Any:
        return self._labels[index]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """Return the labels; a view of them where numpy allows it."""
        return np.array(self._labels, dtype=dtype, copy=bool(copy))

    def __setitem__(self, index: Any, value: Any) -> None:
        self._labels[index] = value
        self._write(index_box(index, self.shape))

    def close(self) -> None:
        """Write no more; a store without any label is taken from the disk."""
        path, self._disk, self.path = self.path, None, None
        if path is not None and not self._labels.any():
            shutil.rmtree(path, ignore_errors=True)

    def note_spacing(self, spacing_um: Spacing | None) -> None:
        """Keep another pixel size of the region beside its labels."""
        if self._disk is not None:
            self._try(lambda: self._disk.attrs.update(_spacing_attribute(spacing_um)))

    def create(
        self,
        folder: Path,
        region: SlideRegion,
        *,
        spacing_um: Spacing | None,
    ) -> None:
        """Begin to keep the labels in the next free ``region-N.zarr`` of a folder.

        Parameters
        ----------
        folder : Path
            One slide's; made if need be.
        region : SlideRegion
            Where the labels lie; neither path nor name is written.
        spacing_um : (y, x) or None
            Micrometres per pixel of the region.
        """
        self._try(lambda: self._create(folder, region, spacing_um))

    def _create(
        self, folder: Path, region: SlideRegion, spacing_um: Spacing | None
    ) -> None:
        import zarr
        from zarr.codecs import BloscCodec

        self.path = _claim_folder(folder)
        self._disk = zarr.create_array(
            str(self.path),
            shape=self.shape,
            chunks=(CHUNK_PX, CHUNK_PX),
            dtype="uint32",
            fill_value=0,
            compressors=BloscCodec(cname="lz4", clevel=5),
            dimension_names=("y", "x"),
            overwrite=True,
            attributes={
                "format": FORMAT,
                "version": VERSION,
                "origin_yx_level0_px": list(region.origin_yx),
                "step_yx_level0_px": list(region.step_yx),
                **_spacing_attribute(spacing_um),
            },
        )

    def _write(self, box: tuple[int, int, int, int]) -> None:
        if self._disk is None:
            return
        y0, x0, y1, x1 = box
        if y0 >= y1 or x0 >= x1:
            return
        y0, x0 = (v // CHUNK_PX * CHUNK_PX for v in (y0, x0))
        y1, x1 = (-(-v // CHUNK_PX) * CHUNK_PX for v in (y1, x1))
        self._try(lambda: self._write_chunks(y0, x0, y1, x1))

    def _write_chunks(self, y0: int, x0: int, y1: int, x1: int) -> None:
        # whole chunks: none has to be read and decoded before
        self._disk[y0:y1, x0:x1] = self._labels[y0:y1, x0:x1]

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            self._disk = None
            self.failure = SlideError(
                "The objects of this region can no longer be kept on disk"
                f" ({error.strerror or error}). They stay in memory: make space or give"
                " leave to write in the cache folder, and save them."
            )
            self.failed.emit(self.failure)


def read_region_store(path: Path) -> tuple[NDArray[np.uint32], dict[str, Any]]:
    """Read a store that `RegionStore` wrote, whatever became of its program.

    Returns
    -------
    (H, W) uint32
        One id an object.
    dict
        Its attributes: ``origin_yx_level0_px``, ``step_yx_level0_px``,
        ``spacing_um`` (of a pixel of the region, or None), ``version``.

    Raises
    ------
    SlideError
        If there is none, or it is damaged.
    """
    import zarr

    try:
        array = zarr.open_array(str(path), mode="r")
        attributes = dict(array.attrs)
        labels = np.asarray(array[...]).astype(np.uint32)
    except (OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        raise SlideError(
            f"{Path(path).name} holds no labels of a region that can be read ({error})."
        ) from error
    if attributes.get("format") != FORMAT or labels.ndim != 2:
        raise SlideError(f"{Path(path).name} holds no labels of a slide's region.")
    return labels, attributes


def _claim_folder(folder: Path) -> Path:
    """Make and return the next free region folder; two windows never share one."""
    folder.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = folder / f"region-{number:04}.zarr"
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return path


def _spacing_attribute(spacing_um: Spacing | None) -> dict[str, Any]:
    return {"spacing_um": list(spacing_um) if spacing_um is not None else None}


def index_box(index: Any, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the box (y0, x0, y1, x1) that holds all pixels of an index.

    Parameters
    ----------
    index : anything numpy takes
        Two slices, numbers or integer arrays are understood; of any other index
        all pixels are meant.
    shape : (H, W)
        Of the image it points into.
    """
    if not isinstance(index, tuple) or len(index) != 2:
        return 0, 0, *shape
    (y0, y1), (x0, x1) = (
        _extent(one, size) for one, size in zip(index, shape, strict=True)
    )
    return y0, x0, y1, x1


def _extent(index: Any, size: int) -> tuple[int, int]:
    if isinstance(index, slice):
        start, stop, step = index.indices(size)
        return (start, stop) if step > 0 else (0, size)
    places = np.asarray(index)
    if places.dtype == bool or places.size == 0:
        return 0, size if places.size else 0
    low, high = int(places.min()), int(places.max())
    return (0, size) if low < 0 else (low, high + 1)


def default_folder() -> Path:
    """Return where the stores of all slides lie; `SEGMOE_CACHE` sets another place."""
    from platformdirs import user_cache_dir

    place = os.environ.get("SEGMOE_CACHE") or user_cache_dir("napari-segmoe", False)
    return Path(place) / "regions"
