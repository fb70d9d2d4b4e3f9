"""What a project costs: recording a correction, and opening with many objects."""

import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.cli.bench import Measurement
from napari_segmoe.project.journal_mode import probe_journal_mode
from napari_segmoe.project.payload import pack_pixels, to_json
from napari_segmoe.project.records import (
    Change,
    EventKind,
    ImageRecord,
    ObjectState,
    PixelPatch,
    Provenance,
    ReviewState,
)
from napari_segmoe.project.store import ProjectStore

_IMAGE_PX = 2048
_CELL_PX = 64
_ACROSS = 10
_IN_IMAGE = _ACROSS**2
_SIDE_PX = 48


@dataclass(frozen=True, slots=True)
class ProjectSizes:
    """How much is stored and how often is measured."""

    few: int = 100
    many: int = 10_000
    opened: int = 50_000
    turns: int = 60
    openings: int = 5


QUICK = ProjectSizes(few=100, many=400, opened=400, turns=5, openings=2)


def measure_project(sizes: ProjectSizes | None = None) -> list[Measurement]:
    """Compare the store with bare SQLite on the same disk, in turns.

    Parameters
    ----------
    sizes : ProjectSizes, optional

    Returns
    -------
    list of Measurement
        Recording against a bare commit of the same bytes, how that grows with the
        objects stored, and opening against reading the same rows.
    """
    sizes = sizes or ProjectSizes()
    with tempfile.TemporaryDirectory(prefix="segmoe-bench-") as made:
        folder = Path(made)
        few = _time_recording(folder / "few.segmoe", sizes.few, sizes.turns)
        many = _time_recording(folder / "many.segmoe", sizes.many, sizes.turns)
        opening = _time_opening(folder / "opened.segmoe", sizes)
    growth = many.recorded_s / few.recorded_s
    bound = float(np.log2(sizes.many) / np.log2(sizes.few))
    return [
        Measurement(
            "project: record a correction / bare SQLite commit of the same bytes",
            many.ratio,
            5.0,
            "ratio",
            note=f"{sizes.many} objects stored; {many.describe()}",
        ),
        Measurement(
            f"project: record with {sizes.many} objects / with {sizes.few}",
            growth,
            max(bound, 1.5),
            "ratio",
            note=f"at most logarithmic; with {sizes.few}: {few.describe()}",
        ),
        Measurement(
            "project: open with all objects / raw SQLite read",
            opening.ratio,
            3.0,
            "ratio",
            note=f"{sizes.opened} objects in {_images(sizes.opened)} images;"
            f" {opening.describe()}",
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Seconds:
    """Medians of two things that were done in turns."""

    recorded_s: float
    bare_s: float

    @property
    def ratio(self) -> float:
        return self.recorded_s / self.bare_s

    def describe(self) -> str:
        return f"{1000 * self.recorded_s:.3g} ms against {1000 * self.bare_s:.3g} ms"


def _time_recording(path: Path, count: int, turns: int) -> _Seconds:
    """Record corrections of a gland's outline, each after a bare commit."""
    ours, bares = [], []
    with ProjectStore.create(path) as store, _bare(path.parent / "bare.db") as bare:
        _fill(store, count)
        for turn in range(turns):
            image = f"image-{1 + turn % _images(count):04}"
            change, patch = _correction(store, image, turn)
            data = _bytes_of(change, patch)
            bares.append(_seconds(lambda data=data: bare(data)))  # type: ignore[misc]
            began = time.perf_counter()
            store.append(EventKind.CORRECT, change, image=image, patch=patch)
            ours.append(time.perf_counter() - began)
    return _Seconds(statistics.median(ours), statistics.median(bares))


def _time_opening(path: Path, sizes: ProjectSizes) -> _Seconds:
    with ProjectStore.create(path) as store:
        _fill(store, sizes.opened)
    ours, bares = [], []
    for _ in range(sizes.openings):
        bares.append(_seconds(lambda: _read_raw(path)))
        ours.append(_seconds(lambda: _open(path)))
    return _Seconds(min(ours), min(bares))  # other load only ever adds


def _open(path: Path) -> None:
    """Open as the window does, and look at every object of every image."""
    with ProjectStore.open(path) as store:
        store.classes()
        store.annotators()
        store.models()
        store.runs()
        store.count_objects()
        for record in store.images():
            store.objects(record.name)


def _read_raw(path: Path) -> None:
    with closing(sqlite3.connect(path / "project.db")) as connection:
        for name in ("images", "classes", "annotators", "models", "runs", "objects"):
            connection.execute(f"SELECT * FROM {name}").fetchall()


@contextmanager
def _bare(path: Path) -> Iterator[Callable[[Sequence[bytes]], None]]:
    """Give a function that commits bytes; journal and syncing as in a project."""
    mode = probe_journal_mode(path.parent)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode.value}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS bare (number INTEGER PRIMARY KEY, data BLOB)"
        )

        def commit(data: Sequence[bytes]) -> None:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO bare (data) VALUES (?)", [(one,) for one in data]
            )
            connection.execute("COMMIT")

        yield commit


def _fill(store: ProjectStore, count: int) -> None:
    """Store objects, a hundred an image."""
    for number in range(1, _images(count) + 1):
        record = ImageRecord(
            name=f"image-{number:04}",
            fingerprint=f"{number:064x}",
            shape=(_IMAGE_PX, _IMAGE_PX),
        )
        store.add_image(record)
        labels = np.zeros((_ACROSS * _CELL_PX, _ACROSS * _CELL_PX), np.uint32)
        states = {}
        for place in range(min(_IN_IMAGE, count - (number - 1) * _IN_IMAGE)):
            y, x = (_CELL_PX * step for step in divmod(place, _ACROSS))
            labels[y : y + _SIDE_PX, x : x + _SIDE_PX][_disk()] = place + 1
            states[place + 1] = _state((y, x, y + _SIDE_PX, x + _SIDE_PX))
        patch = PixelPatch((0, 0, *labels.shape), np.zeros_like(labels), labels)
        store.append(
            EventKind.IMPORT, Change(objects=states), image=record.name, patch=patch
        )


def _correction(
    store: ProjectStore, image: str, turn: int
) -> tuple[Change, PixelPatch]:
    """Return a brush stroke along the border of one of an image's objects."""
    number = 1 + turn % len(store.objects(image))
    box = store.objects(image)[number].box
    before = store.labels(image, box)
    after = before.copy()
    after[: _SIDE_PX // 3, turn % 8 :] = number
    if np.array_equal(before, after):
        after[: _SIDE_PX // 3] = 0
    return Change(objects={number: _state(box)}), PixelPatch(box, before, after)


def _bytes_of(change: Change, patch: PixelPatch) -> list[bytes]:
    before, after = pack_pixels(patch)
    assert before is not None
    assert after is not None
    return [to_json(change, patch).encode() + before + after]


def _state(box: tuple[int, int, int, int]) -> ObjectState:
    return ObjectState(
        state=ReviewState.ACCEPTED,
        provenance=Provenance.DRAWN,
        source="user",
        area_px=float(_disk().sum()),
        box=box,
    )


def _disk() -> NDArray[np.bool_]:
    y, x = np.mgrid[:_SIDE_PX, :_SIDE_PX] - (_SIDE_PX - 1) / 2
    return (y**2 + x**2 <= (_SIDE_PX / 2) ** 2).astype(bool)


def _images(count: int) -> int:
    return -(-count // _IN_IMAGE)


def _seconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began
