"""The user's classes as undoable actions."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_segmoe.session.classes import ClassTable
from napari_segmoe.session.history import EventKind

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session


class ClassActions:
    """Make, rename, recolour, delete and map classes.

    Parameters
    ----------
    session : Session
        Whose classes these are.
    """

    def __init__(self, session: "Session") -> None:
        self._session = session

    @property
    def table(self) -> ClassTable:
        """The present classes."""
        return self._session.snapshot.classes

    def make(self, name: str, colour: str | None = None) -> int:
        """Make a class and return its id."""
        table = self.table.make(name, colour)
        entry = table.entries[-1]
        payload = {"id": entry.id, "name": entry.name, "colour": entry.colour}
        self._perform(EventKind.CLASS_MADE, payload, table)
        return entry.id

    def rename(self, class_id: int, name: str) -> None:
        """Give a class another name."""
        table = self.table.rename(class_id, name)
        self._perform(EventKind.CLASS_RENAMED, {"id": class_id, "name": name}, table)

    def recolour(self, class_id: int, colour: str) -> None:
        """Give a class another colour."""
        table = self.table.recolour(class_id, colour)
        payload = {"id": class_id, "colour": colour}
        self._perform(EventKind.CLASS_RECOLOURED, payload, table)

    def delete(self, class_id: int) -> None:
        """Delete a class; its objects become unclassified."""
        table = self.table.delete(class_id)
        annotation = self._session.annotation
        if annotation.chosen_class_id == class_id:
            annotation.chosen_class_id = None
        self._perform(EventKind.CLASS_DELETED, {"id": class_id}, table)

    def map(self, model_class: str, class_id: int | None) -> None:
        """Map a model's class to a class of the user, or to nothing."""
        table = self.table.map(model_class, class_id)
        payload = {"model_class": model_class, "id": class_id}
        self._perform(EventKind.CLASS_MAPPED, payload, table)

    def learn(self, names: Iterable[str]) -> None:
        """Add the classes of a model that was loaded; no step to undo."""
        table = self.table.with_model_classes(names)
        if table != self.table:
            self._session.set_classes(table)

    def _perform(
        self, kind: EventKind, payload: dict[str, Any], to: ClassTable
    ) -> None:
        if to != self.table:
            after = replace(self._session.snapshot, classes=to)
            self._session.perform(kind, payload, after)
