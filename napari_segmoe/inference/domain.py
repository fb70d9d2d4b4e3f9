"""Whether an image is of the kind that weights were made for. Loads no torch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.models.card import WeightsCard, list_weights, read_card
from napari_segmoe.models.weights_summary import subject_of
from napari_segmoe.types import Modality, PixelSource

_COLOURED = 0.12
_COLOURED_SHARE = 0.35
_GREY_SHARE = 0.005
_OVERVIEW_PX = 64
_GREY = frozenset({Modality.ULTRASOUND, Modality.OCT})
_COLOUR = frozenset({Modality.HISTOLOGY, Modality.ENDOSCOPY, Modality.DERMOSCOPY})


def why_class_is_withheld(
    card: WeightsCard, modality: Modality, pixels: NDArray[np.uint8] | PixelSource
) -> str | None:
    """Return a sentence that says why no class is given, or None where one is.

    Parameters
    ----------
    card : WeightsCard
        Of the loaded weights.
    modality : Modality
        What is known of the image; where it is UNKNOWN, its colours are looked at.
    pixels : (H, W) or (H, W, 3) uint8, or PixelSource
        Of a source no more is read than a small overview.
    """
    if card.modality in (Modality.UNKNOWN, modality):
        return None
    if modality is Modality.UNKNOWN:
        if card.modality in _GREY and _is_colourful(pixels):
            found = "a colour image"
        elif card.modality in _COLOUR and _is_grey(pixels):
            found = "a grey image"
        else:
            return None
    else:
        found = f"{modality.value} image".replace("unknown ", "")
        found = f"an {found}" if found[0] in "aeiou" else f"a {found}"
    return (
        f"No class: {card.name} was made for {card.modality.value}, this is {found}."
        f" {_advice(modality)}"
    )


def why_unlike(
    card: WeightsCard,
    pixels: NDArray[np.uint8] | PixelSource,
    *,
    modality: Modality,
    score: float,
    limit: float,
) -> str:
    """Return a sentence for an image that a domain guard holds for a stranger.

    Other weights are named where they may fit: of the image's modality where that is
    known; else those whose images have such colours, and for what they are.

    Parameters
    ----------
    card : WeightsCard
        Of the loaded weights.
    pixels : (H, W) or (H, W, 3) uint8, or PixelSource
        The image.
    modality : Modality
        What is known of it.
    score, limit : float
        The guard's.
    """
    said = (
        f"No class: this image does not look like what {card.name} was trained on"
        f" (domain score {score:.2f}, limit {limit:.2f})."
    )
    others = [read_card(path) for name, path in list_weights() if name != card.name]
    wanted = modality if modality is not Modality.UNKNOWN else card.modality
    same = [one for one in others if one.modality is wanted]
    advice = [_capital("; ".join(map(_use, same))) + "."] if same else []
    if modality is Modality.UNKNOWN:
        kinds = (_COLOUR if _is_colourful(pixels) else _GREY) - {wanted}
        advice += _for_another(card, [one for one in others if one.modality in kinds])
    if not advice:
        return f"{said} The mask may still serve; choose the class yourself."
    return f"{said} {' '.join(advice)}"


def _use(card: WeightsCard) -> str:
    return f"for {subject_of(card)} use {card.name}"


def _for_another(card: WeightsCard, others: Sequence[WeightsCard]) -> list[str]:
    """Return a sentence on weights for other modalities, or none."""
    if not others:
        return []
    named = " and ".join(f"{one.name} ({subject_of(one)})" for one in others)
    if card.modality is Modality.UNKNOWN:
        return [f"There are weights for another modality: {named}."]
    own = card.modality.value
    return [f"Is it no {own}? There are weights for another modality: {named}."]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _advice(modality: Modality) -> str:
    fitting = [
        name
        for name, path in list_weights()
        if modality is not Modality.UNKNOWN and read_card(path).modality is modality
    ]
    if fitting:
        return f"Choose {' or '.join(fitting)}."
    return "The mask may still serve; choose the class yourself."


def _is_colourful(pixels: NDArray[np.uint8] | PixelSource) -> bool:
    return float((_saturation(pixels) > _COLOURED).mean()) > _COLOURED_SHARE


def _is_grey(pixels: NDArray[np.uint8] | PixelSource) -> bool:
    """Whether there is no colour at all: glass with little tissue has some."""
    return float((_saturation(pixels) > _COLOURED).mean()) < _GREY_SHARE


def _saturation(pixels: NDArray[np.uint8] | PixelSource) -> NDArray[np.float32]:
    """Return largest less smallest of the three colours, in 0..1, of some pixels."""
    if not isinstance(pixels, np.ndarray):
        overview = pixels.read((0, 0, *pixels.shape), (_OVERVIEW_PX, _OVERVIEW_PX))
        sample = overview.astype(np.float32)
    elif pixels.ndim == 2:
        return np.zeros((1, 1), np.float32)
    else:
        sample = pixels[::4, ::4].astype(np.float32)
    spread: NDArray[np.float32] = (sample.max(axis=2) - sample.min(axis=2)) / 255
    return spread
