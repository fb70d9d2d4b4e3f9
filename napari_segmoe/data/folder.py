"""Data folders: images, masks and ``labels.csv``, checked before anyone uses them."""

import csv
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from napari_segmoe.data.images import image_size
from napari_segmoe.data.mask_classes import read_class_names
from napari_segmoe.data.masks import (
    MaskKind,
    agree_on_kind,
    mask_kind_of,
    mask_size,
    read_mask,
)
from napari_segmoe.data.splits import (
    DataItem,
    leaky_groups,
    select_splits,
    split_groups,
    split_hash,
)
from napari_segmoe.errors import DataFolderError, SplitError

__all__ = [
    "DataFolder",
    "DataItem",
    "LeakySplitWarning",
    "read_data_folder",
    "read_mask",
    "split_groups",
]

_COLUMNS = ("file", "class", "split", "group")
_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm"}
_MASKS_LOOKED_AT = 24
_OFFICIAL = re.compile(r"^[\s\-*#]*official split\b", re.IGNORECASE | re.MULTILINE)
_SPACING_COLUMN = "spacing_um"


class LeakySplitWarning(UserWarning):
    """A published split has groups on two sides."""


@dataclass(frozen=True, slots=True)
class DataFolder:
    """A data folder whose contents fit together.

    Attributes
    ----------
    path : Path
        The folder.
    items : tuple of DataItem
        One for each image, in the order of ``labels.csv`` (else by name).
    mask_kind : MaskKind or None
        What the masks' values stand for; None where there are no masks.
    leaky_groups : (n, m) or None
        Of m groups, n are on two sides of the published split; None without leak.
    notes : tuple of str
        What was assumed or left out, in whole sentences.
    mask_classes : tuple of str
        What the values 1, 2, ... of semantic masks are called; empty where the masks
        are of another kind or nothing names them, see `data.mask_classes`.
    """

    path: Path
    items: tuple[DataItem, ...]
    mask_kind: MaskKind | None = None
    leaky_groups: tuple[int, int] | None = None
    notes: tuple[str, ...] = field(default=())
    mask_classes: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that occur, sorted."""
        return tuple(
            sorted({item.class_name for item in self.items if item.class_name})
        )

    @property
    def split_hash(self) -> str:
        """The split's fingerprint; see `splits.split_hash`."""
        return split_hash(self.items)

    def select(self, split: str | None = None) -> tuple[DataItem, ...]:
        """Return the items of one or more splits ("train", "train,val", "test").

        "test" takes every split whose name begins with it; None takes all items.

        Raises
        ------
        SplitError
            If a name fits no split.
        """
        return select_splits(self.items, split)

    def without(self, column: str, value: str) -> "DataFolder":
        """Return the folder without the items whose extra ``column`` is ``value``."""
        kept = tuple(item for item in self.items if item.extra.get(column) != value)
        return replace(self, items=kept)


def read_data_folder(
    path: str | Path,
    *,
    classes: Sequence[str] | None = None,
    official_split: bool | None = None,
    all_masks: bool = True,
) -> DataFolder:
    """Read a folder of images, masks and labels, and check that they fit.

    Parameters
    ----------
    path : path
        A folder with ``images/STEM.*`` and, where there are, ``masks/STEM.png`` and
        ``labels.csv`` with the columns file, class, split, group and any others.
    classes : sequence of str, optional
        The classes that may occur; None takes any.
    official_split : bool, optional
        Whether the split was published by others, and is used as it is even where it
        leaks. None: it was, where a line of ``README.md`` begins "Official split".
    all_masks : bool
        False: images may lack a mask, and no mask is opened; `look_at_masks` then
        checks those that are used.

    Raises
    ------
    DataFolderError
        If something is missing, unknown, of another size, or double.
    SplitError
        If a split that is not official has a group on two sides.
    """
    path = Path(path)
    images = list_images(path / "images")
    masks = _list_masks(path / "masks")
    items, notes = _read_items(path, images)
    items = _attach_masks(items, masks, every=all_masks)
    _check_classes(items, classes)
    leak = _check_leak(path, items, official_split)
    folder = DataFolder(path, items, None, leak, notes)
    return look_at_masks(folder, items) if all_masks else folder


def look_at_masks(folder: DataFolder, used: Sequence[DataItem]) -> DataFolder:
    """Return the folder with the kind of the masks of ``used``, once they are checked.

    Raises
    ------
    DataFolderError
        If one cannot be read or has another size than its image.
    """
    kind = _find_kind(used)
    if kind is None:
        return folder
    _check_sizes(used)
    names: tuple[str, ...] = ()
    if kind in (MaskKind.SEMANTIC, MaskKind.INSTANCES):
        names = read_class_names(folder.path, tuple(used[0].extra))
        # a few classes, one object of each, look like ids
        kind = MaskKind.SEMANTIC if len(names) > 1 else kind
    names = names if kind is MaskKind.SEMANTIC else ()
    notes = (*folder.notes, f"Masks were taken as {kind.value}.")
    return replace(folder, mask_kind=kind, notes=notes, mask_classes=names)


def stated_spacing_um(item: DataItem) -> float | None:
    """Return the pixel size that an item's column ``spacing_um`` states, if it does.

    Raises
    ------
    DataFolderError
        If it is no positive number.
    """
    words = item.extra.get(_SPACING_COLUMN, "").strip()
    if not words:
        return None
    try:
        value = float(words)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise DataFolderError(
            f"labels.csv gives {item.name} the pixel size {words!r}; expected"
            " micrometres, such as 0.5."
        )
    return value


def list_images(folder: Path) -> dict[str, Path]:
    """Return images by file name, refusing two of one stem."""
    if not folder.is_dir():
        raise DataFolderError(
            f"There is no folder {folder}; expected images/, masks/ and labels.csv. "
            "Check the path."
        )
    images = {
        file.name: file
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in _SUFFIXES and not file.name.startswith(".")
    }
    if not images:
        raise DataFolderError(
            f"There are no images in {folder}. Put PNG or JPEG files in."
        )
    stems = Counter(file.stem for file in images.values())
    for stem, count in stems.items():
        if count > 1:
            raise DataFolderError(
                f"{count} images are named {stem!r} but for their ending; their mask "
                "cannot be told apart. Rename one."
            )
    return images


def _list_masks(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    return {file.stem: file for file in sorted(folder.glob("*.png"))}


def _read_items(
    path: Path, images: Mapping[str, Path]
) -> tuple[tuple[DataItem, ...], tuple[str, ...]]:
    labels = path / "labels.csv"
    if not labels.is_file():
        items = tuple(
            DataItem(file.stem, file, group=file.stem) for file in images.values()
        )
        return items, ("There is no labels.csv: every image is in split 'all'.",)
    rows = _read_rows(labels)
    items = tuple(_make_item(row, number, images) for number, row in rows)
    names = Counter(item.image_path.name for item in items)
    double = next((name for name, count in names.items() if count > 1), None)
    if double is not None:
        raise DataFolderError(
            f"labels.csv names {double} twice. Remove one of the lines."
        )
    unlisted = len(images) - len(items)
    if unlisted:
        return items, (f"{unlisted} images are not in labels.csv and are left out.",)
    return items, ()


def _read_rows(labels: Path) -> list[tuple[int, dict[str, str]]]:
    """Return (line number, row) for each line of ``labels.csv``."""
    try:
        with labels.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = [name.strip() for name in reader.fieldnames or ()]
            missing = [name for name in _COLUMNS if name not in columns]
            if missing:
                raise DataFolderError(
                    f"labels.csv has no column {', '.join(missing)}; expected "
                    f"{', '.join(_COLUMNS)}. Add it to the first line."
                )
            reader.fieldnames = columns
            rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise DataFolderError(
            f"labels.csv cannot be read ({error}). Save it as UTF-8 text with commas."
        ) from error
    if not rows:
        raise DataFolderError("labels.csv has no lines. Write one for each image.")
    for number, row in rows:
        if None in row or None in row.values():
            raise DataFolderError(
                f"Line {number} of labels.csv has {'more' if None in row else 'fewer'} "
                f"fields than the {len(columns)} columns. Mend the line."
            )
    return rows


def _make_item(
    row: Mapping[str, str], number: int, images: Mapping[str, Path]
) -> DataItem:
    name = row["file"].strip()
    if name not in images:
        raise DataFolderError(
            f"Line {number} of labels.csv names {name!r}, which is not in images/. "
            "Correct the name, or add the image."
        )
    split = row["split"].strip()
    if not split:
        raise DataFolderError(
            f"Line {number} of labels.csv has no split for {name}. Write train or test."
        )
    image = images[name]
    return DataItem(
        name=image.stem,
        image_path=image,
        class_name=row["class"].strip() or None,
        split=split,
        group=row["group"].strip() or image.stem,
        extra={key: value for key, value in row.items() if key not in _COLUMNS},
    )


def _attach_masks(
    items: tuple[DataItem, ...], masks: Mapping[str, Path], *, every: bool
) -> tuple[DataItem, ...]:
    if not masks:
        return items
    missing = [item for item in items if item.name not in masks]
    if missing and every:
        raise DataFolderError(
            f"{missing[0].image_path.name} has no mask masks/{missing[0].name}.png "
            f"({len(missing)} of {len(items)} images have none). Add the masks; an "
            "image without object needs one of zeros."
        )
    return tuple(replace(item, mask_path=masks.get(item.name)) for item in items)


def _check_classes(items: Sequence[DataItem], classes: Sequence[str] | None) -> None:
    if classes is None:
        return
    for item in items:
        if item.class_name is not None and item.class_name not in classes:
            raise DataFolderError(
                f"{item.image_path.name} is of class {item.class_name!r}; expected one "
                f"of {', '.join(classes)}. Correct labels.csv, or name the class."
            )


def _check_leak(
    path: Path, items: Sequence[DataItem], official: bool | None
) -> tuple[int, int] | None:
    leaky, count = leaky_groups(items)
    if not leaky:
        return None
    if official is None:
        readme = path / "README.md"
        text = readme.read_text("utf-8", errors="replace") if readme.is_file() else ""
        official = _OFFICIAL.search(text) is not None
    if not official:
        raise SplitError(
            f"Group {leaky[0]!r} is on two sides of the split ({len(leaky)} of {count} "
            "groups are); a group must stay on one. Change the split column, or, if "
            "others published this split, write a line 'Official split: WHOSE' into "
            "the folder's README.md."
        )
    warnings.warn(
        f"{len(leaky)} of {count} groups are on two sides of the published split of "
        f"{path.name}: class figures from it flatter.",
        LeakySplitWarning,
        stacklevel=3,
    )
    return len(leaky), count


def _find_kind(items: Sequence[DataItem]) -> MaskKind | None:
    paths = [item.mask_path for item in items if item.mask_path is not None]
    if not paths:
        return None
    step = max(1, len(paths) // _MASKS_LOOKED_AT)
    return agree_on_kind(mask_kind_of(path) for path in paths[::step])


def _check_sizes(items: Sequence[DataItem]) -> None:
    for item in items:
        if item.mask_path is None:
            continue
        image, mask = image_size(item.image_path), mask_size(item.mask_path)
        if image != mask:
            raise DataFolderError(
                f"The mask {item.mask_path.name} is {mask[0]} x {mask[1]} px, its "
                f"image {image[0]} x {image[1]}; both must be of one size. Make it "
                "again at the size of the image."
            )
