"""What the worklist holds: files by content, with the project's names for them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from napari_segmoe.data.slides.fingerprint import fingerprint
from napari_segmoe.data.slides.opening import is_slide
from napari_segmoe.errors import ImageReadError
from napari_segmoe.project.local_files import read_paths
from napari_segmoe.project.store import ProjectStore
from napari_segmoe.session.project_images import COPIES

IMAGE_SUFFIXES = frozenset(
    (".dcm", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".jp2")
)
SLIDE_SUFFIXES = frozenset(
    (".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide")
)


@dataclass(frozen=True, slots=True)
class WorklistEntry:
    """One file of the worklist.

    Attributes
    ----------
    key : str
        The file's fingerprint.
    title : str
        Name for people, on this computer only.
    path : Path or None
        Where it lies; None where that is not known here.
    images : tuple of str
        Its images in the project: one, or the regions of a slide.
    is_slide : bool
    """

    key: str
    title: str
    path: Path | None
    images: tuple[str, ...] = ()
    is_slide: bool = False

    @property
    def image(self) -> str:
        """Name of its first image in the project; empty where it has none."""
        return self.images[0] if self.images else ""

    @property
    def is_missing(self) -> bool:
        """Whether its file is not where it was."""
        return self.path is None or not self.path.exists()


def find_files(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return the files to be worked on, of folders those in them, by name.

    A folder with a folder ``images`` stands for what is in that one; files whose name
    begins with a dot are left out.

    Raises
    ------
    ImageReadError
        If there is nothing that can be opened.
    """
    given, found = tuple(paths), []
    for path in given:
        if not path.exists():
            raise ImageReadError(f"There is no file {path.name}. Choose another.")
        if path.is_dir() and not is_slide(path):
            found += _within(path)
        elif _is_known(path):
            found.append(path)
    if not found:
        names = ", ".join(path.name for path in given[:3]) or "what was chosen"
        raise ImageReadError(
            f"There is no image in {names}. Choose PNG, JPEG, BMP, TIFF, DICOM or slide"
            " files, or a folder of them."
        )
    return tuple(dict.fromkeys(found))


def make_entry(path: Path) -> WorklistEntry:
    """Return the entry of a file.

    Raises
    ------
    ImageReadError
        If it cannot be read.
    """
    try:
        key = fingerprint(path)
    except OSError as error:
        raise ImageReadError(
            f"{path.name} cannot be read: {error.strerror or error}."
        ) from error
    is_one = path.suffix.lower() in SLIDE_SUFFIXES or is_slide(path)
    return WorklistEntry(key, _title(path), path, is_slide=is_one)


def stored_entries(store: ProjectStore) -> Mapping[str, WorklistEntry]:
    """Return the files whose images a project has, by fingerprint, oldest first."""
    copies = (store.path / COPIES).resolve()
    paths, found = read_paths(store.path), dict[str, WorklistEntry]()
    for record in store.images():
        key, path = record.fingerprint, paths.get(record.fingerprint)
        known = found.get(key)
        if known is None:
            is_ours = path is None or path.parent == copies
            title = record.name if is_ours or path is None else _title(path)
            is_region = record.region is not None
            known = WorklistEntry(key, title, path, is_slide=is_region)
        found[key] = replace(known, images=(*known.images, record.name))
    for key, path in paths.items():
        if key not in found:  # a slide of which no region was worked on yet
            found[key] = WorklistEntry(key, _title(path), path, is_slide=True)
    return found


def _within(folder: Path) -> list[Path]:
    inner = folder / "images"
    folder = inner if inner.is_dir() else folder
    return [
        path
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".") and _is_known(path)
    ]


def _is_known(path: Path) -> bool:
    if path.is_dir():
        return is_slide(path)
    return path.suffix.lower() in IMAGE_SUFFIXES | SLIDE_SUFFIXES or is_slide(path)


def _title(path: Path) -> str:
    return path.stem.removesuffix(".ome") if path.suffix else path.name
