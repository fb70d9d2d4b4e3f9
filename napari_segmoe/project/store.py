"""A project on disk: events are appended, everything else follows from them."""

import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.database import (
    ProjectConnection,
    Whereabouts,
    clear_errors,
    connect,
    journal_mode,
    transaction,
)
from napari_segmoe.project.headlines import Headline, read_headlines
from napari_segmoe.project.journal_mode import JournalMode
from napari_segmoe.project.judged_places import read_places
from napari_segmoe.project.label_runs import Labels
from napari_segmoe.project.payload import (
    FIRST_DIGEST,
    chain,
    from_json,
    pack_pixels,
    parse_kind,
    parse_record,
    to_json,
    unpack_pixels,
)
from napari_segmoe.project.projection import (
    apply_change,
    check_seen,
    last_number,
    read_class_details,
    read_image,
    read_labels,
    read_objects,
)
from napari_segmoe.project.records import (
    Change,
    ClassRecord,
    EventKind,
    ImageRecord,
    JudgedPlace,
    ModelVersion,
    ObjectState,
    PixelBox,
    PixelPatch,
    ProjectEvent,
    RunRecord,
    TileState,
)
from napari_segmoe.project.schema import check_version, create_tables
from napari_segmoe.project.undoable import StoredStep, find_undoable, read_step

SUFFIX = ".segmoe"
DATABASE = "project.db"


class ProjectStore:
    """The store behind ``NAME.segmoe/``; make it with `create` or `open`.

    Every `append` is one transaction and is on the disk when it returns: whatever is
    killed afterwards, it stays. Several programs may have a project open; who changes
    pixels that somebody else has changed in between gets a `ProjectConflictError`.

    Parameters
    ----------
    path : Path
        The project's folder.
    connection : Connection
        Of its database; closed by `close`.
    """

    def __init__(self, path: Path, connection: ProjectConnection) -> None:
        self.path = path
        self._connection = connection
        self._place = Whereabouts(path / DATABASE)

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make an empty project.

        Raises
        ------
        ProjectError
            If there is something already, the name has another ending, or the folder
            cannot be made.
        """
        if path.suffix != SUFFIX:
            raise ProjectError(
                f"{path.name} must end in {SUFFIX}, as in study{SUFFIX}."
            )
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ProjectError(
                f"{path.name} exists already. Open it, or take another name."
            )
        database = path / DATABASE
        partial = path / ".project.partial.db"
        with clear_errors(database):
            path.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(partial, isolation_level=None)) as made:
                create_tables(made)
                made.executemany(
                    "INSERT INTO settings VALUES (?, ?)",
                    [
                        ("project", secrets.token_hex(8)),
                        ("salt", secrets.token_hex(16)),
                    ],
                )
            partial.replace(database)
        store = cls.open(path)
        store.append(EventKind.CREATED, Change())
        return store

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """Open a project; an older one is brought up to date on a copy.

        Raises
        ------
        ProjectError
            If it is missing, damaged, newer than this program, or cannot be written
            although ``read_only`` is false.
        """
        database = path / DATABASE
        if not database.is_file():
            raise ProjectError(
                f"{path.name} is no project: it has no {DATABASE}. Choose a folder that"
                f" ends in {SUFFIX}, or make a project."
            )
        with clear_errors(database):
            if not read_only:
                check_version(database)
        return cls(path, connect(database, read_only=read_only))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._connection.close()

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know of how it is kept."""
        if journal_mode(self._connection) is JournalMode.WAL:
            return ()
        return (
            "This folder does not support SQLite's write-ahead log (a network drive?):"
            " the project is kept with a rollback journal and takes one writer at a"
            " time.",
        )

    @property
    def salt(self) -> str:
        """Makes hashes of patients unlike those of any other project."""
        (value,) = self._connection.execute(
            "SELECT value FROM settings WHERE name = 'salt'"
        ).fetchone()
        return str(value)

    def append(
        self,
        kind: EventKind,
        change: Change,
        *,
        image: str | None = None,
        patch: PixelPatch | None = None,
        annotator: str | None = None,
        seen: int | None = None,
    ) -> ProjectEvent:
        """Store one event and what follows from it, or nothing at all.

        With ``seen``, the number of the image's newest event that the caller knows
        of, nobody else may have changed the image since.

        Raises
        ------
        ProjectError
            If it cannot be stored, or is about an unknown image.
        ProjectConflictError
            If the pixels it changes are not as it found them, or somebody else has
            changed the image since ``seen``.
        """
        payload = to_json(change, patch)
        before, after = pack_pixels(patch)
        time_utc = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._place.check()
        with transaction(self._connection):
            check_seen(self._connection, image, seen)
            number, previous = self._last()
            parts = (number + 1, time_utc, kind.value, annotator, image, payload)
            digest = chain(previous, *parts, before, after)
            self._connection.execute(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*parts, before, after, digest),
            )
            apply_change(self._connection, image, change, patch)
        return ProjectEvent(
            number + 1, time_utc, kind, annotator, image, change, patch, digest.hex()
        )

    def check_place(self) -> None:
        """Raise `ProjectError` where the project was moved, deleted or replaced."""
        self._place.check()

    def _last(self) -> tuple[int, bytes]:
        found = self._connection.execute(
            "SELECT number, digest FROM events ORDER BY number DESC LIMIT 1"
        ).fetchone()
        return (0, FIRST_DIGEST) if found is None else (found[0], found[1])

    def last_number(self, image: str | None = None) -> int:
        """Return the number of the newest event, of an image or of all; 0: none."""
        return (
            self._last()[0] if image is None else last_number(self._connection, image)
        )

    def set_patience(self, seconds: float) -> None:
        """Set how long to wait for another program that writes just now."""
        self._connection.execute(f"PRAGMA busy_timeout = {round(1000 * seconds)}")

    def class_details(self) -> Mapping[str, Any]:
        """Return what the newest change of the list of classes says besides."""
        return read_class_details(self._connection)

    def add_image(self, record: ImageRecord, *, annotator: str | None = None) -> None:
        """Take an image, or a region of a slide, into the project."""
        self.append(
            EventKind.IMAGE,
            Change(image=record),
            image=record.name,
            annotator=annotator,
        )

    def next_image_name(self) -> str:
        """Return a name that no image has yet: ``image-0001`` and so on."""
        (count,) = self._connection.execute("SELECT count(*) FROM images").fetchone()
        return f"image-{count + 1:04}"

    def find_image(self, fingerprint: str) -> ImageRecord | None:
        """Return the first image of a fingerprint; wherever its file lies now."""
        return next(
            (one for one in self.images() if one.fingerprint == fingerprint), None
        )

    def image(self, name: str) -> ImageRecord:
        """Return an image's record.

        Raises
        ------
        ProjectError
            If there is none of that name.
        """
        return read_image(self._connection, name)

    def images(self) -> tuple[ImageRecord, ...]:
        """Return all images, by name."""
        rows = self._connection.execute("SELECT record FROM images ORDER BY name")
        return tuple(parse_record(ImageRecord, text) for (text,) in rows)

    def annotators(self) -> tuple[str, ...]:
        """Return the annotators' pseudonyms."""
        rows = self._connection.execute("SELECT pseudonym FROM annotators ORDER BY 1")
        return tuple(name for (name,) in rows)

    def classes(self) -> tuple[ClassRecord, ...]:
        """Return the project's list of classes, in its order."""
        rows = self._connection.execute(
            "SELECT id, name, colour FROM classes ORDER BY place"
        )
        return tuple(
            ClassRecord(id=number, name=name, colour=colour)
            for number, name, colour in rows
        )

    def objects(self, image: str) -> dict[int, ObjectState]:
        """Return an image's objects by id."""
        return read_objects(self._connection, image)

    def count_objects(self) -> dict[tuple[str, str, int | None], int]:
        """Return how many objects there are by image, review state and class."""
        rows = self._connection.execute(
            "SELECT image, state, class_id, count(*) FROM objects GROUP BY 1, 2, 3"
        )
        return {(image, state, number): count for image, state, number, count in rows}

    def tiles(self, image: str) -> tuple[TileState, ...]:
        """Return the boxes of an image in which everything is annotated."""
        rows = self._connection.execute(
            "SELECT y0, x0, y1, x1 FROM tiles WHERE image = ? ORDER BY 1, 2", (image,)
        )
        return tuple(TileState(box=row) for row in rows)

    def places(self, image: str | None = None) -> dict[str, tuple[JudgedPlace, ...]]:
        """Return where pseudo-labels were accepted or rejected, by image."""
        return read_places(self._connection, image)

    def labels(self, image: str, box: PixelBox | None = None) -> Labels:
        """Return an image's label pixels, (h, w) uint32, all or in a box."""
        if box is None:
            height, width = self.image(image).shape
            box = (0, 0, height, width)
        return read_labels(self._connection, image, box)

    def models(self) -> tuple[ModelVersion, ...]:
        """Return the published weights, oldest first."""
        rows = self._connection.execute("SELECT record FROM models ORDER BY number")
        return tuple(parse_record(ModelVersion, text) for (text,) in rows)

    def runs(self) -> tuple[RunRecord, ...]:
        """Return the training runs, by name."""
        rows = self._connection.execute("SELECT record FROM runs ORDER BY name")
        return tuple(parse_record(RunRecord, text) for (text,) in rows)

    def events(
        self, *, since: int = 0, image: str | None = None
    ) -> Iterator[ProjectEvent]:
        """Give the events after a number, oldest first, of one image or of all.

        Raises
        ------
        ProjectError
            If one is damaged.
        """
        rows = self._connection.execute(
            "SELECT number, time_utc, kind, annotator, image, payload, before, after,"
            " digest FROM events WHERE number > ? AND (? IS NULL OR image = ?)"
            " ORDER BY number",
            (since, image, image),
        )
        for number, time_utc, kind, annotator, about, *stored, digest in rows:
            payload, before, after = stored
            change, box = from_json(payload)
            yield ProjectEvent(
                number,
                time_utc,
                parse_kind(kind),
                annotator,
                about,
                change,
                unpack_pixels(box, before, after),
                digest.hex(),
            )

    def find_undoable(
        self, image: str, *, annotator: str | None, is_ours: Callable[[int], bool]
    ) -> int | None:
        """Return which step of an image may be undone next; see `undoable`."""
        return find_undoable(
            self._connection, image, annotator=annotator, is_ours=is_ours
        )

    def read_step(self, image: str, number: int) -> StoredStep:
        """Return a stored step of an image, and what was there before it."""
        return read_step(self._connection, image, number)

    def headlines(
        self, *, below: int | None = None, limit: int = 200
    ) -> tuple[Headline, ...]:
        """Return the newest events below a number, newest first, without pixels.

        Raises
        ------
        ProjectError
            If one is damaged.
        """
        return read_headlines(self._connection, below=below, limit=limit)

    def back_up(self, target: Path) -> None:
        """Write a consistent copy of the database, also while others write.

        Raises
        ------
        ProjectError
            If it cannot be written.
        """
        partial = target.with_name(f".{target.name}.partial")
        with clear_errors(self.path / DATABASE):
            with closing(sqlite3.connect(partial)) as copy:
                self._connection.backup(copy)
            partial.replace(target)
