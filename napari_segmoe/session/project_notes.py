"""What the user is told when a project is opened."""

from collections.abc import Sequence

from napari_segmoe.project.open_marks import OpenMark
from napari_segmoe.project.records import EventKind
from napari_segmoe.project.store import ProjectStore

_MOST = 10_000
_WORDS = {
    EventKind.COMMIT: "a commit",
    EventKind.CORRECT: "a correction",
    EventKind.ACCEPT: "an acceptance",
    EventKind.REVIEW: "a review",
    EventKind.FINISH_TILE: "a finished tile",
    EventKind.DELETE: "a deletion",
    EventKind.CLASS: "a class",
    EventKind.CLASSES: "a change of the classes",
    EventKind.IMPORT: "an import",
    EventKind.UNDO: "an undo",
    EventKind.REDO: "a redo",
    EventKind.REJECT: "a rejection",
    EventKind.IMAGE: "an image",
}


def notes_on_opening(store: ProjectStore, marks: Sequence[OpenMark]) -> tuple[str, ...]:
    """Return sentences on who else has it open, and on what was restored.

    Parameters
    ----------
    store : ProjectStore
    marks : sequence of OpenMark
        Left before it was opened this time.
    """
    notes = []
    if any(mark.is_alive for mark in marks):
        notes.append(
            "This project is open in another window too. Work on different images: what"
            " both change is refused in one of them, and said."
        )
    killed = [mark.events for mark in marks if not mark.is_alive]
    if killed:
        notes.append(_restored(store, min(killed)))
    return tuple(notes)


def _restored(store: ProjectStore, since: int) -> str:
    begin = "napari was not closed properly the last time. "
    own = [
        one
        for one in store.headlines(limit=_MOST)
        if one.number > since and one.kind in _WORDS
    ]
    if not own:
        return begin + "Nothing was done in it since it was opened: nothing is lost."
    images = {one.image for one in own if one.image}
    actions = "1 action" if len(own) == 1 else f"{len(own)} actions"
    where = "" if not images else f" on {len(images)} image{'s' * (len(images) > 1)}"
    last = own[0]
    on = f" on {last.image}" if last.image else ""
    return (
        f"{begin}Restored: {actions}{where}, the last one {_WORDS[last.kind]}{on} at"
        f" {last.time_utc[11:16]} UTC."
    )
