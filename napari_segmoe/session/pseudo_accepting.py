"""Accepting pseudo-labels: on the present image, and on those that are not open."""

import re
from typing import TYPE_CHECKING

from napari_segmoe.project.proposals import ProposedPlace
from napari_segmoe.project.records import Change, EventKind, JudgedPlace
from napari_segmoe.session.project_states import patch_of, state_of
from napari_segmoe.session.proposed_objects import Reception, receive

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session

_SURE = 0.5  # where no weights are loaded that say when a class is certain


def reception_of(session: "Session", place: ProposedPlace) -> Reception:
    """Return how the present image takes a place's objects in."""
    image = session.require_image()
    return Reception(
        session.annotation.next_id,
        image.spacing_um,
        image.region,
        session.classes.table,
        _uncertain_below(session),
        _version_of(place),
    )


def accept_stored(
    session: "Session", place: ProposedPlace, judgement: JudgedPlace
) -> None:
    """Accept a place of an image that is not worked on, in the project itself.

    Raises
    ------
    ProjectError
        If no project is open, or it cannot be written.
    """
    store, recorder = session.project.require()
    record = store.image(place.image)
    labels = store.labels(place.image)
    same = [one for one in store.images() if one.fingerprint == record.fingerprint]
    used = [number for one in same for number in store.objects(one.name)]
    reception = Reception(
        1 + max((int(labels.max(initial=0)), *used)),
        record.spacing_um,
        None,
        session.classes.table,
        _uncertain_below(session),
        _version_of(place),
    )
    patch, records = receive(labels, place, reception)
    event = store.append(
        EventKind.ACCEPT,
        Change(
            objects={one.id: state_of(one) for one in records},
            places=(judgement,),
            details={"action": "accept_place"},
        ),
        image=place.image,
        patch=patch_of(patch),
        annotator=session.project.annotator,
    )
    recorder.note_own(event.number)


def _uncertain_below(session: "Session") -> float:
    card = session.model.card
    return card.uncertain_below if card is not None else _SURE


def _version_of(place: ProposedPlace) -> int | None:
    found = re.fullmatch(r"version (\d+)", place.source)
    return int(found[1]) if found else None
