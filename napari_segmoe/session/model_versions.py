"""The versions of a project's model: which there are, which is used, going back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.model_versions import current_version, weights_file
from napari_segmoe.project.records import Change, EventKind, ModelVersion
from napari_segmoe.project.store import ProjectStore

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the project's model; number 0 is what the first round began with.

    Attributes
    ----------
    number : int
    weights : str
        A file, or the name of shipped weights.
    is_current : bool
        Whether the project uses it.
    figures : mapping of str to float
        What the guard saw.
    """

    number: int
    weights: str
    is_current: bool
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Name for people."""
        return f"Version {self.number}" if self.number else "Before the first round"

    @property
    def dice(self) -> float | None:
        """Dice on the hold-out."""
        return self.figures.get("dice")

    @property
    def interval(self) -> tuple[float, float] | None:
        """Its 95 % interval."""
        low, high = self.figures.get("dice_low"), self.figures.get("dice_high")
        return None if low is None or high is None else (low, high)


class ModelVersions:
    """The open project's versions, and the session's model following them.

    Parameters
    ----------
    session : Session
        Whose project and model these are.
    """

    changed = Signal()

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._versions: tuple[Version, ...] = ()
        self._followed: Path | None = None

    @property
    def versions(self) -> tuple[Version, ...]:
        """All versions, oldest first; none before the first round published one."""
        return self._versions

    @property
    def current(self) -> Version | None:
        """The version in use, or None."""
        return next((one for one in self._versions if one.is_current), None)

    @property
    def project(self) -> Path | None:
        """The folder of the open project, or None."""
        store = self._store
        return None if store is None else store.path

    @property
    def _store(self) -> ProjectStore | None:
        return self._session.project.store

    def read(self) -> None:
        """Read the versions anew."""
        reading = self._session.project.reading
        found = reading.read("versions of the model", read_versions, ())
        if found != self._versions:
            self._versions = found
            self.changed.emit()

    def follow_project(self) -> None:
        """Use the version of the project where another one was opened."""
        self.read()
        if self.project == self._followed:
            return
        self._followed = self.project
        if self.current is not None:
            self._take(self.current)

    def follow_publication(self) -> None:
        """Use what a round has published, from the next click on, and say so."""
        before = self.current
        self.read()
        if self.current is not None and self.current != before:
            self._take(self.current)

    def use(self, version: Version) -> None:
        """Make a version the project's, and the session's from the next click on.

        Raises
        ------
        ProjectError
            If no project is open, or the version's weights are gone.
        """
        store = self._store
        if store is None:
            raise ProjectError("No project is open. Open the project of the version.")
        if not Path(version.weights).is_file():
            raise ProjectError(
                f"The weights of version {version.number} are gone from the project."
                " Choose another version."
            )
        if version.is_current:
            self._take(version)
            return
        record = next(
            (one for one in store.models() if one.number == version.number), None
        )
        if record is None:
            raise ProjectError(f"The project has no version {version.number}.")
        record = record.model_copy(update={"is_current": True})
        details = {"to": version.number}
        annotator = self._session.project.annotator
        change = Change(model=record, details=details)
        store.append(EventKind.REVERT, change, annotator=annotator)
        self.read()
        self._take(version)

    def revert(self, version: Version) -> None:
        """Go back to the version before ``version``.

        Raises
        ------
        ProjectError
            If there is none before it, or as `use`.
        """
        older = [one for one in self._versions if one.number < version.number]
        if not older:
            raise ProjectError(f"{version.title} is the oldest: nothing is before it.")
        self.use(older[-1])

    def _take(self, version: Version) -> None:
        """Let the session's clicks be answered by a version."""
        if self._session.model.choice.weights == version.weights:
            return
        self._session.model.choose(weights=version.weights, is_asked_again=False)
        dice = "" if version.dice is None else f" (hold-out Dice {version.dice:.3f})"
        self._session.notified.emit(
            f"{version.title}{dice} answers from the next click on."
        )


def read_versions(store: ProjectStore) -> tuple[Version, ...]:
    """Return a project's versions, what the first round began with among them."""
    records = sorted(store.models(), key=lambda one: one.number)
    current = current_version(store)
    return tuple(
        Version(
            one.number,
            str(weights_file(store.path, one.number)),
            one == current,
            dict(one.figures) or _figures_before(one, records),
        )
        for one in records
    )


def _figures_before(
    record: ModelVersion, records: Sequence[ModelVersion]
) -> dict[str, float]:
    """Return what the next version's round saw of a version that has no figures."""
    later = next((one for one in records if one.number > record.number), None)
    if later is None or "old_dice" not in later.figures:
        return {}
    return {"dice": later.figures["old_dice"]}
