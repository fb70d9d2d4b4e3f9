"""Projects with images that nobody has labelled, and what a round was taught."""

import numpy as np

from napari_segmoe.project.proposals import (
    FILE,
    ProposedObject,
    ProposedPlace,
    pack_labels,
    write_proposals,
)
from tests.session.project_fakes import choose, open_project, write_images


def open_pool(tmp_path, *, images=3, **options):
    """Return a session in a project of images; it opens what is asked for."""
    session = open_project(tmp_path / "study.segmoe", **options)
    session.worklist.open_requested.connect(lambda path: choose(session, path))
    if not session.worklist.rows:
        names = [chr(ord("a") + number) for number in range(images)]
        write_images(tmp_path / "scans", *names)
        session.worklist.add([tmp_path / "scans"])
    return session


def write_round(session, *boxes, image="image-0002", number=1, confidence=0.9):
    """Write what a round was taught on boxes of an image: a square in each."""
    record = session.project.store.image(image)
    places = []
    for y0, x0, y1, x1 in boxes:
        labels = np.zeros((y1 - y0, x1 - x0), np.uint32)
        labels[2:-2, 2:-2] = 1
        places.append(
            ProposedPlace(
                image,
                record.fingerprint,
                (y0, x0, y1, x1),
                pack_labels(labels),
                (ProposedObject(1, confidence),),
                f"round-{number:04}",
                agreement=0.97,
                weight=0.3,
            )
        )
    path = session.project.path / "runs" / f"round-{number:04}" / FILE
    write_proposals(path, places)
    session.training_runs.runs_changed.emit()
    return places


def row_of(session, title):
    """Return the first place on an image by its title."""
    return next(one for one in session.pseudo_labels.rows if one.title == title)
