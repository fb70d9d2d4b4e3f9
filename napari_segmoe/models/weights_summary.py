"""What weights are for and how good they are, for lists and tooltips. No torch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from napari_segmoe.models.card import WeightsCard
from napari_segmoe.types import Modality


@dataclass(frozen=True, slots=True)
class Figures:
    """How good weights are on one data set; None where it was not measured.

    Attributes
    ----------
    data : str
        Name of the data set.
    is_own : bool
        Whether it is the test split of the data trained on; else another site's.
    dice, object_f1, click_iou, class_accuracy, class_auc : float or None
        Means: Dice of the automatic mode, F1 of its objects, IoU after one click, and
        of the image's class.
    leaky_groups : str or None
        "n of m" groups (patients) of the test split are among the training images
        too: class figures flatter.
    """

    data: str
    is_own: bool
    dice: float | None
    object_f1: float | None
    click_iou: float | None
    class_accuracy: float | None
    class_auc: float | None
    leaky_groups: str | None = None

    @property
    def text(self) -> str:
        """The figures in one line; empty where there are none."""
        told = (
            ("Dice", self.dice),
            ("object F1", self.object_f1),
            ("IoU after 1 click", self.click_iou),
            ("class accuracy", self.class_accuracy),
            ("AUC", self.class_auc),
        )
        known = ", ".join(f"{word} {value:.3f}" for word, value in told if value)
        leak = self.leaky_groups
        note = f" (classes: {leak} patients were trained on)" if leak else ""
        return f"{known}{note}" if known else ""


def figures_of(card: WeightsCard) -> tuple[Figures, ...]:
    """Return the figures that a card states: own test first, then other sites'."""
    return tuple(_figures(card))


def subject_of(card: WeightsCard) -> str:
    """Return organ and kind of the images that weights are for, as "colon H&E"."""
    kind = "H&E" if card.modality is Modality.HISTOLOGY else card.modality.value
    if card.modality is Modality.OCT:
        kind = "OCT"
    return f"{card.organ} {kind}".strip()


def spacing_text(card: WeightsCard) -> str:
    """Return the pixel size that weights see images at, as "1 um", or "any"."""
    return "any" if card.spacing_um is None else f"{card.spacing_um:g} um"


def describe(card: WeightsCard) -> tuple[str, ...]:
    """Return lines that say all that a user chooses by, for a tooltip."""
    lines = [card.title or card.name, f"For {subject_of(card)} images"]
    lines[1] += (
        "."
        if card.spacing_um is None
        else f", seen at {card.spacing_um:g} um per pixel."
    )
    for one in figures_of(card):
        if one.text:
            where = "our test" if one.is_own else "another site"
            lines.append(f"{one.data} ({where}): {one.text}")
    if card.domain is not None:
        lines.append("Gives no class to images unlike its training images.")
    if card.licence:
        lines.append(card.licence)
    return tuple(lines)


def _figures(card: WeightsCard) -> Iterator[Figures]:
    own = card.metrics.get("test")
    if isinstance(own, Mapping):
        yield _read(str(card.data.get("folder", "test")), own, is_own=True)
    off_site = card.metrics.get("off_site")
    if isinstance(off_site, Mapping):
        for name, found in off_site.items():
            if isinstance(found, Mapping):
                yield _read(str(name), found, is_own=False)


def _read(data: str, found: Mapping[str, Any], *, is_own: bool) -> Figures:
    clicks = found.get("click_iou")
    return Figures(
        data=data,
        is_own=is_own,
        dice=_mean(found.get("dice")),
        object_f1=_mean(found.get("object_f1_pooled", found.get("object_f1"))),
        click_iou=_mean(clicks.get("1")) if isinstance(clicks, Mapping) else None,
        class_accuracy=_mean(found.get("class_accuracy")),
        class_auc=_mean(found.get("class_auc")),
        leaky_groups=found.get("leaky_groups"),
    )


def _mean(value: Any) -> float | None:
    if isinstance(value, Mapping):
        value = value.get("mean")
    return float(value) if isinstance(value, int | float) else None
