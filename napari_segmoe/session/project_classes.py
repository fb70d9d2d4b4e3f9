"""One list of classes out of a project's and a session's."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_segmoe.project.store import ProjectStore
from napari_segmoe.session.classes import ClassTable
from napari_segmoe.session.history import Snapshot
from napari_segmoe.session.project_states import class_records, table_of
from napari_segmoe.session.workspace import Workspace

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session


def stored_table(store: ProjectStore) -> ClassTable:
    """Return a project's classes; ids that objects have are never given again."""
    used = {number for _, _, number in store.count_objects() if number is not None}
    return table_of(store.classes(), store.class_details(), used_ids=used)


def adopt_classes(session: "Session", stored: ClassTable) -> ClassTable:
    """Give a session a project's classes and keep its own; return both as one list.

    The session's objects follow where a class got another id.
    """
    joined, new_ids = join_tables(stored, session.snapshot.classes)
    for workspace in session.workspaces:
        renumber_classes(workspace, new_ids)
    session.replace_classes(joined)
    return joined


def join_tables(
    stored: ClassTable, own: ClassTable
) -> tuple[ClassTable, Mapping[int, int]]:
    """Return the project's classes with the session's, and the session's new ids.

    Classes of one name are one class; what the project says of it holds.
    """
    if not stored.entries:
        next_id = max(stored.next_id, own.next_id)
        return replace(own, next_id=next_id), {one.id: one.id for one in own.entries}
    joined, new_ids = stored, {}
    for entry in own.entries:
        known = joined.find_name(entry.name)
        if known is None:
            joined = joined.make(entry.name, entry.colour)
            known = joined.entries[-1]
        new_ids[entry.id] = known.id
    for name, number in own.mapping.items():
        if name not in joined.mapping:
            fresh = None if number is None else new_ids.get(number)
            joined = joined.map(name, fresh)
    return joined, new_ids


def agree_on_classes(
    session: "Session", store: ProjectStore, before: Snapshot, after: Snapshot
) -> Snapshot:
    """Return what a change of the classes reaches, with those of another window.

    Parameters
    ----------
    session : Session
    store : ProjectStore
    before, after : Snapshot
        Of the change, as this window knows the classes.
    """
    if store.classes() == class_records(before.classes):
        return after
    joined, new_ids = join_tables(stored_table(store), after.classes)
    for workspace in session.workspaces:
        renumber_classes(workspace, new_ids)
    return replace(_renumbered(after, new_ids), classes=joined)


def renumber_classes(workspace: Workspace, new_ids: Mapping[int, int]) -> None:
    """Give an image's objects the new ids of their classes; undo begins anew."""
    if any(old != new for old, new in new_ids.items()):
        workspace.snapshot = _renumbered(workspace.snapshot, new_ids)
        workspace.history.clear()


def _renumbered(snapshot: Snapshot, new_ids: Mapping[int, int]) -> Snapshot:
    records = tuple(
        one
        if one.class_id is None or new_ids.get(one.class_id) == one.class_id
        else replace(one, class_id=new_ids.get(one.class_id))
        for one in snapshot.records
    )
    return replace(snapshot, records=records)
