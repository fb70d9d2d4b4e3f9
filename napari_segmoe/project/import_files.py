"""Objects of one file into a project: GeoJSON, COCO, labels as OME-Zarr."""

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

from napari_segmoe.data import ome_zarr
from napari_segmoe.data.coco import AnnotatedImage, read_coco
from napari_segmoe.data.geojson import read_geojson
from napari_segmoe.errors import AnnotationFileError, ProjectError
from napari_segmoe.project.importing import (
    ImportedImage,
    import_outlines,
    set_objects,
)
from napari_segmoe.project.label_runs import Labels
from napari_segmoe.project.local_files import read_paths
from napari_segmoe.project.records import ImageRecord
from napari_segmoe.project.store import ProjectStore

_ENDINGS = (".geojson", ".json", ".zarr")
_MOST_ID = 10_000_000


def import_file(
    store: ProjectStore,
    file: Path,
    *,
    image: str | None = None,
    annotator: str | None = None,
) -> Generator[ImportedImage, None, None]:
    """Put a file's objects in place of those of the images it is about.

    A COCO file names its images: as the project does, or as their files are called on
    this computer. GeoJSON and label images are about one: ``image``, or the one that
    the file is called after, as ``image-0001.geojson``.

    Parameters
    ----------
    store : ProjectStore
    file : Path
        ``.geojson`` (QuPath; slides in level-0 pixels), ``.json`` (COCO), or a folder
        ``.zarr`` (OME-Zarr labels).
    image : str or None
        Name in the project.
    annotator : str or None
        Pseudonym.

    Yields
    ------
    ImportedImage
        One at a time, as it is stored.

    Raises
    ------
    ProjectError
        If no image of the project fits.
    AnnotationFileError
        If the file cannot be read.
    """
    if file.suffix not in _ENDINGS:
        raise AnnotationFileError(
            f"{file.name} is neither GeoJSON (.geojson), COCO (.json) nor OME-Zarr"
            " labels (.zarr)."
        )
    if file.suffix == ".json":
        for about in read_coco(file):
            record = _find_image(store, about)
            yield import_outlines(store, record, about.objects, annotator=annotator)
        return
    record = _image_of(store, file, image)
    if file.suffix == ".zarr":
        labels, names = _read_labels(file, record)
        count = set_objects(store, record, labels, names, annotator=annotator)
        yield ImportedImage(record.name, count)
        return
    objects, notes = read_geojson(file)
    found = import_outlines(store, record, objects, on_slide=True, annotator=annotator)
    yield ImportedImage(found.image, found.objects, (*notes, *found.notes))


def _find_image(store: ProjectStore, about: AnnotatedImage) -> ImageRecord:
    """Return the image a COCO file means, by our name or its file's."""
    paths = read_paths(store.path)
    for record in store.images():
        place = paths.get(record.fingerprint)
        known = {record.name, f"{record.name}.png"}
        if place is not None:
            known |= {place.name, place.stem}
        if about.name in known or Path(about.name).name in known:
            if record.shape != about.shape:
                raise ProjectError(
                    f"{about.name} is {about.shape[0]} x {about.shape[1]} px in the"
                    f" file, but {record.name} is {record.shape[0]} x"
                    f" {record.shape[1]} px. Take a file of the same images."
                )
            return record
    raise ProjectError(
        f"The project has no image {about.name!r}. Add the image first; a COCO file"
        " names images as image-0001, or as their files are called."
    )


def _image_of(store: ProjectStore, file: Path, image: str | None) -> ImageRecord:
    names = {record.name: record for record in store.images()}
    wanted = image or file.name.split(".")[0]
    if wanted in names:
        return names[wanted]
    if image is None:
        raise ProjectError(
            f"{file.name} does not say which image it is about. Open that image, or"
            " name it, as image-0001."
        )
    return store.image(wanted)


def _read_labels(
    file: Path, record: ImageRecord
) -> tuple[Labels, dict[int, str | None]]:
    """Return the finest level of a label image, and the class of each value."""
    import zarr
    from zarr.errors import GroupNotFoundError

    try:
        group: Any = zarr.open_group(str(file), mode="r")
        scales, meaning = (
            ome_zarr.read_multiscales(group),
            ome_zarr.read_label_image(group),
        )
        if scales is None or meaning is None:
            raise AnnotationFileError(
                f"{file.name} is no OME-Zarr label image: it has no image-label."
            )
        values = np.asarray(group[scales.datasets[0].path])
    except (GroupNotFoundError, OSError, KeyError, ValueError, TypeError) as error:
        raise AnnotationFileError(
            f"{file.name} cannot be read as OME-Zarr labels: {error}."
        ) from error
    values = values.reshape(values.shape[-2:]) if values.ndim > 2 else values
    if values.shape != record.shape or values.dtype.kind not in "iu":
        raise AnnotationFileError(
            f"The labels of {file.name} are {' x '.join(map(str, values.shape))}"
            f" {values.dtype}; {record.name} needs whole numbers,"
            f" {record.shape[0]} x {record.shape[1]} px."
        )
    if values.size and not 0 <= int(values.min()) <= int(values.max()) <= _MOST_ID:
        raise AnnotationFileError(f"The labels of {file.name} leave 0 to {_MOST_ID}.")
    classes = {
        number: str(facts["class"]) if facts.get("class") else None
        for number, facts in meaning.properties.items()
    }
    return np.ascontiguousarray(values, np.uint32), classes
