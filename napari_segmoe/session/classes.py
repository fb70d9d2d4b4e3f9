"""The user's classes, and how a model's classes map to them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from napari_segmoe.errors import ClassListError

# Okabe and Ito's colours, told apart with every common colour vision.
PALETTE = (
    "#56B4E9",
    "#E69F00",
    "#CC79A7",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#999999",
)
KNOWN_COLOURS = MappingProxyType(
    {
        "benign": "#2BB58A",
        "malignant": "#F0672E",
        "normal": "#8FA3AD",
    }
)


@dataclass(frozen=True, slots=True)
class ClassEntry:
    """One class of the user; ``id`` is never used again, ``colour`` is #RRGGBB."""

    id: int
    name: str
    colour: str


@dataclass(frozen=True, slots=True)
class ClassTable:
    """All classes of a session, and the mapping of the model's names to them.

    Attributes
    ----------
    entries : tuple of ClassEntry
        In the order shown; the first nine have the keys Ctrl+1 to Ctrl+9.
    mapping : mapping of str to int or None
        Model class -> id of a user's class; None is "unmapped".
    next_id : int
        Id of the next class made.
    """

    entries: tuple[ClassEntry, ...] = ()
    mapping: Mapping[str, int | None] = field(default_factory=dict)
    next_id: int = 1

    def find(self, class_id: int | None) -> ClassEntry | None:
        """Return the class with that id, or None where it was deleted."""
        return next((e for e in self.entries if e.id == class_id), None)

    def find_name(self, name: str) -> ClassEntry | None:
        """Return the class of that name, or None."""
        return next((e for e in self.entries if e.name == name), None)

    def resolve(self, model_class: str | None) -> ClassEntry | None:
        """Return the user's class that a model's class maps to, or None."""
        if model_class is None:
            return None
        return self.find(self.mapping.get(model_class))

    def make(self, name: str, colour: str | None = None) -> "ClassTable":
        """Return a table with one class more.

        Raises
        ------
        ClassListError
            If the name is empty or taken, or the colour is not #RRGGBB.
        """
        self._check_name(name, None)
        entry = ClassEntry(
            self.next_id, name.strip(), _check_colour(colour or self._free_colour(name))
        )
        return replace(self, entries=(*self.entries, entry), next_id=self.next_id + 1)

    def rename(self, class_id: int, name: str) -> "ClassTable":
        """Return a table in which that class has another name."""
        self._check_name(name, class_id)
        return self._with_entry(replace(self._require(class_id), name=name.strip()))

    def recolour(self, class_id: int, colour: str) -> "ClassTable":
        """Return a table in which that class has another colour."""
        entry = replace(self._require(class_id), colour=_check_colour(colour))
        return self._with_entry(entry)

    def delete(self, class_id: int) -> "ClassTable":
        """Return a table without that class; what mapped to it becomes unmapped."""
        gone = self._require(class_id)
        return replace(
            self,
            entries=tuple(e for e in self.entries if e.id != gone.id),
            mapping={k: None if v == gone.id else v for k, v in self.mapping.items()},
        )

    def map(self, model_class: str, class_id: int | None) -> "ClassTable":
        """Return a table in which a model's class maps to ``class_id`` or to nothing.

        Raises
        ------
        ClassListError
            If there is no class with that id.
        """
        if class_id is not None:
            self._require(class_id)
        return replace(self, mapping={**self.mapping, model_class: class_id})

    def with_model_classes(self, names: Iterable[str]) -> "ClassTable":
        """Return a table in which each model class not seen before has its class."""
        table = self
        for name in names:
            if name in table.mapping:
                continue
            if table.find_name(name) is None:
                table = table.make(name)
            entry = table.find_name(name)
            table = table.map(name, entry.id if entry else None)
        return table

    def _with_entry(self, changed: ClassEntry) -> "ClassTable":
        entries = tuple(changed if e.id == changed.id else e for e in self.entries)
        return replace(self, entries=entries)

    def _require(self, class_id: int) -> ClassEntry:
        entry = self.find(class_id)
        if entry is None:
            raise ClassListError(
                f"There is no class {class_id}; it was deleted. Choose one of:"
                f" {', '.join(e.name for e in self.entries) or 'none yet'}."
            )
        return entry

    def _check_name(self, name: str, own_id: int | None) -> None:
        if not name.strip():
            raise ClassListError("A class needs a name. Type at least one letter.")
        taken = self.find_name(name.strip())
        if taken is not None and taken.id != own_id:
            raise ClassListError(
                f"There is a class {name.strip()!r} already. Choose another name."
            )

    def _free_colour(self, name: str) -> str:
        used = {e.colour for e in self.entries}
        known = KNOWN_COLOURS.get(name.strip().lower())
        if known is not None and known not in used:
            return known
        free = [colour for colour in PALETTE if colour not in used]
        return free[0] if free else PALETTE[self.next_id % len(PALETTE)]


def _check_colour(colour: str) -> str:
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
        raise ClassListError(f"Colour is {colour!r}; expected #RRGGBB, as #E69F00.")
    return colour.upper()
