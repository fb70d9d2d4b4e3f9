"""Sessions with a project, and image files to work on."""

import numpy as np
from PIL import Image

from tests.session.fakes import make_image, make_pixels, make_session


def write_images(folder, *names):
    """Write images that differ in one pixel; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, name in enumerate(names):
        pixels = make_pixels()
        pixels[0, 0] = 10 + number
        paths.append(folder / f"{name}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def choose(session, path, **changes):
    """Choose a file as the viewer does."""
    pixels = np.asarray(Image.open(path))
    session.choose_image(make_image(str(path), pixels=pixels, path=path, **changes))


def open_project(path, **options):
    """Return a new session that works in a project, as after a start."""
    session = make_session(image=False, **options)
    if path.exists():
        session.project.open(path)
    else:
        session.project.create(path)
    return session


def commit_at(session, y, x):
    session.prompting.add_click(y, x)
    return session.annotation.commit()


def state_of(session):
    """Return all of the present image that a project keeps."""
    return (
        session.annotation.labels.tolist(),
        [
            (
                one.id,
                one.class_id,
                one.source,
                one.probability,
                one.model_class,
                one.state,
                one.provenance,
                one.measured.area_px,
                one.measured.box,
                one.measured.area_um2,
            )
            for one in session.annotation.records
        ],
        sorted(session.correction.tiles),
        session.classes.table,
    )
