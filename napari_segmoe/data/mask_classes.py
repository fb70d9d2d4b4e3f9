"""Masks of classes: what the values of a folder's masks are called.

The names of the values 1, 2, ... of semantic masks come from, in this order:

- ``classes.csv`` beside ``labels.csv``, with the columns ``value`` and ``name``;
- the columns ``px_NAME`` of ``labels.csv``, the first naming value 1, the second 2.

The value 255 means: not known; such pixels neither teach nor count.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.errors import DataFolderError

IGNORED = 255
MOST_CLASSES = 254
LEFT_OUT = "background"
NOT_KNOWN = "unknown"

_FILE = "classes.csv"
_PREFIX = "px_"


@dataclass(frozen=True, slots=True)
class MaskClasses:
    """Which class each value of a folder's masks means.

    Attributes
    ----------
    names : tuple of str
        Class 1, class 2, ...
    numbers : tuple of int
        Class number of the values 1, 2, ...; 0 where a value counts as background,
        255 where it is not known.
    """

    names: tuple[str, ...]
    numbers: tuple[int, ...]

    def number(self, values: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Return the class of each pixel, (H, W), from the values of a mask file.

        Raises
        ------
        DataFolderError
            If a value has no name.
        """
        table = np.zeros(IGNORED + 1, np.uint8)
        table[1 : len(self.numbers) + 1] = self.numbers
        table[IGNORED] = IGNORED
        known = {0, IGNORED, *range(1, len(self.numbers) + 1)}
        strange = sorted(set(np.unique(values).tolist()) - known)
        if strange:
            raise DataFolderError(
                f"A mask holds the value {strange[0]}, but only {len(self.numbers)}"
                f" classes are named. Name it in {_FILE} (value,name), or write 255"
                " where nothing is known."
            )
        return table[values]


def read_class_names(path: Path, columns: Sequence[str]) -> tuple[str, ...]:
    """Return what a data folder calls the values 1, 2, ... of its masks.

    Parameters
    ----------
    path : Path
        The folder.
    columns : sequence of str
        Those of ``labels.csv``.

    Returns
    -------
    tuple of str
        Empty where nothing names them.

    Raises
    ------
    DataFolderError
        If ``classes.csv`` is not readable or leaves a value without a name.
    """
    file = path / _FILE
    if file.is_file():
        return _names_in(file)
    return tuple(
        name.removeprefix(_PREFIX) for name in columns if name.startswith(_PREFIX)
    )


def choose_classes(
    names: Sequence[str],
    merged: Mapping[str, str],
    *,
    wanted: Sequence[str] | None = None,
) -> MaskClasses:
    """Merge and leave out classes.

    Parameters
    ----------
    names : sequence of str
        Of the values 1, 2, ...
    merged : mapping of str to str
        What a class is to count as: another class, or a new name that several share,
        "background" (left out), or "unknown" (neither taught nor scored).
    wanted : sequence of str, optional
        Number the classes in this order; others become unknown. Default: in the order
        of the values.

    Raises
    ------
    DataFolderError
        If a merged class is none of ``names``, or two values share a name.
    """
    if len(set(names)) < len(names) or len(names) > MOST_CLASSES:
        raise DataFolderError(
            f"The masks' values are called {', '.join(names)}; each needs a name of its"
            f" own, and at most {MOST_CLASSES} can be told apart."
        )
    strange = sorted(set(merged) - set(names))
    if strange:
        raise DataFolderError(
            f"merge_classes names {strange[0]!r}; the masks' classes are"
            f" {', '.join(names)}."
        )
    final = [merged.get(name, name) for name in names]
    if wanted is None:
        kept = [name for name in final if name not in (LEFT_OUT, NOT_KNOWN)]
        wanted = tuple(dict.fromkeys(kept))
    numbers = {name: index for index, name in enumerate(wanted, start=1)}
    numbers[LEFT_OUT] = 0
    return MaskClasses(
        tuple(wanted), tuple(numbers.get(name, IGNORED) for name in final)
    )


def _names_in(file: Path) -> tuple[str, ...]:
    rows: list[dict[str, Any]]
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = list(csv.DictReader(opened))
        found = {int(row["value"]): str(row["name"]).strip() for row in rows}
    except (KeyError, TypeError, ValueError, csv.Error, OSError) as error:
        raise DataFolderError(
            f"{_FILE} cannot be read; expected the columns value (1, 2, ...) and name,"
            " as UTF-8 text with commas."
        ) from error
    found.pop(0, None)
    found.pop(IGNORED, None)
    if sorted(found) != list(range(1, len(found) + 1)) or not all(found.values()):
        raise DataFolderError(
            f"{_FILE} names the values {sorted(found)}; expected 1, 2, ... without a"
            " gap, each with a name."
        )
    return tuple(found[value] for value in range(1, len(found) + 1))
