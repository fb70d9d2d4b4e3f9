"""One list of classes out of a project's and a session's."""

from collections.abc import Mapping
from dataclasses import replace

from napari_segmoe.session.classes import ClassTable
from napari_segmoe.session.history import Snapshot
from napari_segmoe.session.workspace import Workspace


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


def renumber_classes(workspace: Workspace, new_ids: Mapping[int, int]) -> None:
    """Give an image's objects the new ids of their classes; undo begins anew."""
    if all(old == new for old, new in new_ids.items()):
        return

    def renumbered(snapshot: Snapshot) -> Snapshot:
        records = tuple(
            replace(one, class_id=new_ids.get(one.class_id or 0, None))
            for one in snapshot.records
        )
        return replace(snapshot, records=records)

    workspace.snapshot = renumbered(workspace.snapshot)
    workspace.history.clear()
