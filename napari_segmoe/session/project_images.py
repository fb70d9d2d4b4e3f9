"""Which image of a project the session's image is: by content, never by name."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
from PIL import Image

from napari_segmoe.data.dicom_patient import read_patient_key
from napari_segmoe.data.slides.fingerprint import fingerprint
from napari_segmoe.data.slides.region import SlideRegion
from napari_segmoe.errors import ProjectConflictError
from napari_segmoe.project.importing import hide_group
from napari_segmoe.project.local_files import note_paths, read_paths
from napari_segmoe.project.records import ImageRecord, RegionPlace
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.session.image import SessionImage

COPIES = "images"  # folder of a project
_LENGTH = 32
_MOST_COPIED_PX = 64_000_000


@dataclass(frozen=True, slots=True)
class ImageIdentity:
    """What an image is known by.

    Attributes
    ----------
    fingerprint : str
        Of its file, or of its slide; of its pixels where there is no file.
    shape : (H, W)
    frame : int
        Of a clip, or page.
    region : RegionPlace or None
        Where it lies on its slide.
    path : Path or None
        The file; for `local.json` alone.
    """

    fingerprint: str
    shape: tuple[int, int]
    frame: int = 0
    region: RegionPlace | None = None
    path: Path | None = None


def identify(image: SessionImage, *, copies: Path) -> ImageIdentity:
    """Return what an image is known by; reads little of its file.

    Parameters
    ----------
    image : SessionImage
    copies : Path
        Folder of the project for pixels that have no file: rounds learn from them too.
    """
    if isinstance(image.pixels, SlideRegion):
        region = image.pixels
        place = RegionPlace(origin_yx=region.origin_yx, step_yx=region.step_yx)
        mark = fingerprint(region.path)
        return ImageIdentity(mark, image.shape, region=place, path=region.path)
    if image.path is not None:
        try:
            mark = fingerprint(image.path)
        except OSError:  # it was moved while it is shown
            return _identify_pixels(image, copies)
        return ImageIdentity(mark, image.shape, image.frame, path=image.path)
    return _identify_pixels(image, copies)


def find_copies(store: ProjectStore) -> None:
    """Note where the project's own copies lie, after it was moved.

    Raises
    ------
    ProjectError
        If `local.json` cannot be written.
    """
    found = {path.stem: path for path in (store.path / COPIES).glob("[0-9a-f]*.png")}
    known = read_paths(store.path)
    gone = {mark: p for mark, p in found.items() if known.get(mark) != p.resolve()}
    if gone:
        note_paths(store.path, gone)


def _identify_pixels(image: SessionImage, copies: Path) -> ImageIdentity:
    """Keep pixels without a file as one, named after its own content."""
    pixels = image.pixels
    is_plain = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8
    if not is_plain or pixels.shape[0] * pixels.shape[1] > _MOST_COPIED_PX:
        return ImageIdentity(pixel_fingerprint(image), image.shape)
    partial = copies / f".{uuid4().hex}.png"
    try:
        copies.mkdir(exist_ok=True)
        Image.fromarray(np.asarray(pixels)).save(partial, compress_level=1)
        mark = fingerprint(partial)
        path = copies / f"{mark}.png"
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        return ImageIdentity(pixel_fingerprint(image), image.shape)
    return ImageIdentity(mark, image.shape, path=path)


def pixel_fingerprint(image: SessionImage) -> str:
    """Return a name for pixels without a file: of their kind, size and values."""
    assert isinstance(image.pixels, np.ndarray), "regions have a slide"
    pixels = np.ascontiguousarray(image.pixels)
    digest = hashlib.sha256(f"{pixels.dtype}:{pixels.shape};".encode())
    digest.update(pixels.view(np.uint8).data)
    return digest.hexdigest()[:_LENGTH]


def find_record(store: ProjectStore, identity: ImageIdentity) -> ImageRecord | None:
    """Return the project's record of an image, wherever its file lies now."""
    wanted = (identity.fingerprint, identity.shape, identity.frame, identity.region)
    for one in store.images():
        if (one.fingerprint, one.shape, one.frame, one.region) == wanted:
            return one
    return None


def add_record(
    store: ProjectStore,
    image: SessionImage,
    identity: ImageIdentity,
    *,
    annotator: str | None,
) -> ImageRecord:
    """Take an image into the project under the next free number.

    Raises
    ------
    ProjectError
        If the project cannot be written.
    """
    record = ImageRecord(
        name=store.next_image_name(),
        fingerprint=identity.fingerprint,
        shape=identity.shape,
        spacing_um=image.spacing_um,
        modality=image.modality,
        group=group_of(store, identity),
        region=identity.region,
        frame=identity.frame,
    )
    try:
        store.add_image(record, annotator=annotator)
    except ProjectConflictError:  # another window took the name just now
        record = record.model_copy(update={"name": store.next_image_name()})
        store.add_image(record, annotator=annotator)
    if identity.path is not None:
        note_paths(store.path, {identity.fingerprint: identity.path})
    return record


def group_of(store: ProjectStore, identity: ImageIdentity) -> str | None:
    """Return the salted hash of an image's patient, or of its slide; None: unknown."""
    patient = read_patient_key(identity.path) if identity.path is not None else None
    if patient is not None:
        return hide_group(patient, store.salt)
    if identity.region is not None:
        return hide_group(f"slide:{identity.fingerprint}", store.salt)
    return None
