"""A scripted, seeded annotation: what a user might do, event by event."""

import numpy as np

from napari_segmoe.project.records import (
    Change,
    ClassRecord,
    EventKind,
    ImageRecord,
    ObjectState,
    PixelPatch,
    Provenance,
    ReviewState,
    TileState,
)

SHAPE = (300, 400)
CLASSES = (
    ClassRecord(id=1, name="benign", colour="#33aa55"),
    ClassRecord(id=2, name="malignant", colour="#cc3344"),
)


def begin(store, *, images=2):
    """Give a project images, classes and an annotator."""
    store.append(EventKind.ANNOTATOR, Change(annotator="reader-1"))
    store.append(EventKind.CLASSES, Change(classes=CLASSES), annotator="reader-1")
    for number in range(images):
        store.add_image(
            ImageRecord(
                name=store.next_image_name(),
                fingerprint=f"{number:032x}",
                shape=SHAPE,
                spacing_um=(0.5, 0.5),
            )
        )


def act(store, seed):
    """Do one seeded action; returns its event."""
    rng = np.random.default_rng(seed)
    images = store.images()
    image = images[rng.integers(len(images))].name
    objects = store.objects(image)
    if objects and rng.random() < 0.4:
        number = sorted(objects)[rng.integers(len(objects))]
        if rng.random() < 0.3:
            return remove(store, image, number)
        state = objects[number].model_copy(
            update={"state": ReviewState.ACCEPTED, "class_id": int(rng.integers(1, 3))}
        )
        return store.append(
            EventKind.ACCEPT,
            Change(objects={number: state}, tiles=(TileState(box=(0, 0, 64, 64)),)),
            image=image,
            annotator="reader-1",
        )
    return draw(store, image, rng)


def draw(store, image, rng):
    """Commit a disc on free pixels."""
    number = max(store.objects(image), default=0) + 1
    y, x = int(rng.integers(0, SHAPE[0] - 40)), int(rng.integers(0, SHAPE[1] - 40))
    box = (y, x, y + 40, x + 40)
    before = store.labels(image, box)
    rows, columns = np.ogrid[-20:20, -20:20]
    disc = (rows**2 + columns**2 < 18**2) & (before == 0)
    after = np.where(disc, np.uint32(number), before)
    state = ObjectState(
        class_id=1,
        provenance=Provenance.ACCEPTED_CLICK,
        probability=0.75,
        area_px=float(disc.sum()),
        box=box,
    )
    return store.append(
        EventKind.COMMIT,
        Change(objects={number: state}, details={"clicks": [[y + 20, x + 20, True]]}),
        image=image,
        patch=PixelPatch(box, before, after),
        annotator="reader-1",
    )


def remove(store, image, number):
    """Delete an object with its pixels."""
    box = store.objects(image)[number].box
    before = store.labels(image, box)
    after = np.where(before == number, np.uint32(0), before)
    return store.append(
        EventKind.DELETE,
        Change(objects={number: None}),
        image=image,
        patch=PixelPatch(box, before, after),
    )


def state_of(store):
    """Return everything that a project holds, to compare."""
    return (
        [event.digest for event in store.events()],
        store.images(),
        store.classes(),
        [
            (
                store.objects(one.name),
                store.tiles(one.name),
                store.labels(one.name).tolist(),
            )
            for one in store.images()
        ],
    )
