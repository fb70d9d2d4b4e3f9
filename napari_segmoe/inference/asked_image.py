"""The image that a predictor is asked about, and what is assumed of it."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.frames import Frame, OwnFrame, ScaledFrame
from napari_segmoe.data.intensity import as_uint8_image
from napari_segmoe.data.scaled_image import ScaledImage, check_spacing, scale_to
from napari_segmoe.inference.domain import why_class_is_withheld
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.types import Modality, PixelSource, Spacing


@dataclass(frozen=True, slots=True, eq=False)
class AskedImage:
    """The image asked about.

    Attributes
    ----------
    pixels : (H, W) or (H, W, 3) uint8, or PixelSource
    spacing_um : (y, x) or None
        Micrometres per pixel.
    withheld : str or None
        Why no class is given.
    notes : tuple of str
        What was assumed.
    scaled : ScaledImage or None
        The image at the weights' pixel size; None where they have none.
    verdicts : dict
        What a domain guard found in parts of it, see `inference.domain_guard`.
    modality : Modality
        What is known of it.
    """

    pixels: NDArray[np.uint8] | PixelSource
    spacing_um: Spacing | None
    withheld: str | None
    notes: tuple[str, ...] = ()
    scaled: ScaledImage | None = None
    verdicts: dict[Hashable, Any] = field(default_factory=dict)
    modality: Modality = Modality.UNKNOWN

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def seen(self) -> NDArray[np.uint8] | PixelSource:
        """What the network reads its windows from."""
        scaled = self.scaled
        if scaled is None:
            return self.pixels
        if scaled.is_same_grid and not isinstance(scaled.source, np.ndarray):
            return scaled.source
        return scaled

    @property
    def frame(self) -> Frame:
        """The pixels in which the weights answer."""
        if self.scaled is None or self.scaled.is_same_grid:
            return OwnFrame(self.shape)
        return ScaledFrame(self.scaled)

    @property
    def said(self) -> tuple[str, ...]:
        """Sentences that belong to every answer."""
        return self.notes if self.withheld is None else (self.withheld, *self.notes)


def ask_about(
    card: WeightsCard,
    image: NDArray[Any] | PixelSource,
    spacing_um: Spacing | None,
    modality: Modality,
) -> AskedImage:
    """Return an image as weights see it.

    Parameters
    ----------
    card : WeightsCard
        Of the weights.
    image, spacing_um, modality
        As in `SegmentationPredictor.set_image`.

    Raises
    ------
    ImageReadError
        If the pixels, or their size, cannot be used.
    """
    check_spacing(spacing_um)
    pixels = as_uint8_image(image) if _is_array(image) else image
    withheld = why_class_is_withheld(card, modality, pixels)
    if card.spacing_um is None:
        return AskedImage(pixels, spacing_um, withheld, modality=modality)
    taken = spacing_um
    notes: tuple[str, ...] = ()
    if taken is None:
        assumed = card.assumed_spacing_um or card.spacing_um
        taken = (assumed, assumed)
        notes = (
            f"No pixel size is stated: {assumed:g} um was assumed, that of the images"
            " these weights were trained on. Areas in um are left out.",
        )
    scaled = scale_to(pixels, taken, wanted_um=card.spacing_um)
    return AskedImage(pixels, spacing_um, withheld, notes, scaled, modality=modality)


def _is_array(image: Any) -> bool:
    return not (hasattr(image, "read") and hasattr(image, "shape"))
