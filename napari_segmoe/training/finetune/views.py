"""Sources of a round, and crops around what was corrected."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_segmoe.data.click_simulation import (
    first_clicks,
    next_click,
    simulate_stroke,
)
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.training.augmentation import (
    Warp,
    WarpStrength,
    plain_warp,
    random_warp,
)
from napari_segmoe.training.augmentation_presets import Augmentation, augmentation_for
from napari_segmoe.training.finetune.known import Ids
from napari_segmoe.training.finetune.view_places import ViewPlace
from napari_segmoe.training.samples import loose_box, spoil
from napari_segmoe.training.sources import (
    IGNORED_ID,
    ObjectBox,
    Source,
    image_levels,
    object_boxes,
)
from napari_segmoe.training.spaced_samples import object_at, read_mirrored, side_of
from napari_segmoe.training.spaced_sources import spaced_levels
from napari_segmoe.training.stain import augment_stain
from napari_segmoe.types import Click, Modality, Prompts, Spacing

_TISSUE = WarpStrength(
    rotation_deg=180.0, scale=0.15, stretch=0.08, shift=0.04, elastic=0.015
)
_ZOOM = 1.4
_CHANGED_SHARE = 0.5
_SPOILT_SHARE = 0.3
_LEAST_PX = 20
_LEAST_SIDE = 64.0


@dataclass(frozen=True, slots=True)
class Sight:
    """How a network sees an image.

    Attributes
    ----------
    input_px : int
        Side of its input.
    spacing_um : float or None
        Pixel size of the input; None: the whole image is squeezed into it.
    assumed_um : float or None
        Pixel size of images that state none.
    strength : WarpStrength
        How far samples are warped.
    augment : callable
        Changes intensities.
    """

    input_px: int
    spacing_um: float | None
    assumed_um: float | None
    strength: WarpStrength
    augment: Callable[[Tensor, np.random.Generator], Tensor] = field(repr=False)

    @property
    def field_um(self) -> float | None:
        """Side of what is seen at once, in micrometres."""
        return None if self.spacing_um is None else self.input_px * self.spacing_um

    def pixel_um(self, spacing: Spacing | None) -> float | None:
        """Return the pixel size of an image, as weights at a pixel size take it."""
        if self.spacing_um is None:
            return None
        if spacing is None:
            return self.assumed_um or self.spacing_um
        return float(np.sqrt(spacing[0] * spacing[1]))

    def scale(self, shape: tuple[int, int], pixel_um: float | None) -> float:
        """Return an image's pixels per network pixel."""
        if self.spacing_um is None or pixel_um is None:
            return max(shape) / self.input_px
        return self.spacing_um / pixel_um

    def side(self, source: Source) -> float:
        """Return the side of what is seen at once, in pixels of a source."""
        if self.spacing_um is None:
            return source.side
        return side_of(source, output_px=self.input_px, spacing_um=self.spacing_um)


def sight_of(card: WeightsCard) -> Sight:
    """Return how a card's network sees images."""
    if card.modality is Modality.HISTOLOGY:
        found = Augmentation(_TISSUE, augment_stain)
    else:
        found = augmentation_for(card.modality)
    return Sight(
        card.input_px,
        card.spacing_um,
        card.assumed_spacing_um or card.spacing_um,
        found.strength,
        found.intensity,
    )


def make_source(
    name: str, pixels: NDArray[np.uint8], sight: Sight, pixel_um: float | None
) -> Source:
    """Return an image at the sizes that views of it need, with nothing known."""
    if sight.spacing_um is None or pixel_um is None:
        levels = image_levels(pixels)
    else:
        levels = spaced_levels(pixels, sight.spacing_um / pixel_um)
    shape = (pixels.shape[0], pixels.shape[1])
    nothing = torch.full(shape, IGNORED_ID, dtype=torch.int32)
    return Source(name, shape, levels, (nothing,), (), -1, -1, spacing_um=pixel_um)


def with_ids(source: Source, ids: Ids, class_of_id: Mapping[int, int]) -> Source:
    """Return a source with what is known of its pixels; see `known_ids`."""
    return replace(
        source,
        labels=(torch.from_numpy(ids),),
        objects=tuple(object_boxes(ids, class_of_id)),
    )


def read_view(
    source: Source, warp: Warp, side: float, sight: Sight
) -> tuple[Tensor, Ids]:
    """Return image, (3, n, n) in 0..1, and ids, (n, n); -1 where nothing is known."""
    if sight.spacing_um is not None:
        return read_mirrored(source, warp, side, white=False)
    level = source.level_for(side, sight.input_px)
    image = warp.read(
        source.levels[level].float() / 255, scale_yx=source.scale_yx(level)
    )
    rows, columns = (np.rint(axis).astype(np.intp) for axis in warp.source_yx)
    height, width = source.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    found = source.labels[0].numpy()
    found = found[rows.clip(0, height - 1), columns.clip(0, width - 1)]
    ids = np.where(inside, found, IGNORED_ID).astype(np.int32)
    return image.expand(3, -1, -1).contiguous(), ids


def plain_view(
    source: Source, centre_yx: tuple[float, float], sight: Sight
) -> tuple[Tensor, Ids]:
    """Return image and ids around a place, not augmented."""
    side = sight.side(source)
    if sight.spacing_um is None:
        centre_yx = source.centre_yx
    warp = plain_warp(centre_yx=centre_yx, side=side, output_px=sight.input_px)
    return read_view(source, warp, side, sight)


@dataclass(frozen=True, slots=True, eq=False)
class PartialSample:
    """One question whose answer is known in part.

    Attributes
    ----------
    image : Tensor, (3, n, n)
        In 0..1.
    ids : (n, n) int32
        Objects to mark, 0 background, -1 not known.
    prompts : Prompts
    previous : (n, n) float32 or None
        Answer before.
    weight : float
        How much it counts.
    pooled : (n, n) bool or None
        The object whose class is asked for.
    object_class : int
        From 0; -1: not asked for.
    place : ViewPlace or None
        Where it lies, where that is asked for later.
    """

    image: Tensor
    ids: Ids
    prompts: Prompts = field(default_factory=Prompts)
    previous: NDArray[np.float32] | None = None
    weight: float = 1.0
    pooled: NDArray[np.bool_] | None = None
    object_class: int = -1
    place: ViewPlace | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Correction:
    """An accepted object to learn from.

    Attributes
    ----------
    source : Source
    box : ObjectBox
        Which object of it.
    weight : float
        By provenance.
    hardness : float
        How often it is shown, 1 to 3: more where the base model was wrong.
    """

    source: Source
    box: ObjectBox
    weight: float
    hardness: float = 1.0


def draw_partial(
    corrections: Sequence[Correction],
    rng: np.random.Generator,
    *,
    sight: Sight,
    prompted: bool,
) -> PartialSample:
    """Draw an augmented crop around a correction.

    Without a prompt it asks for all objects, and what nobody labelled is not known.
    With one it asks for the clicked object alone: there the rest is background, since
    an accepted object is accepted as a whole.
    """
    chances = np.array([one.hardness for one in corrections])
    chosen = corrections[rng.choice(len(corrections), p=chances / chances.sum())]
    image, ids, place = _crop(chosen, rng, sight, prompted=prompted)
    if rng.random() < _CHANGED_SHARE:
        image = sight.augment(image, rng)
    own = object_at(ids, chosen.box.id, place)
    if own.sum() < _LEAST_PX:
        return PartialSample(image, ids, weight=chosen.weight)
    if not prompted:
        return PartialSample(
            image,
            ids,
            weight=chosen.weight,
            pooled=own,
            object_class=chosen.box.class_number,
        )
    prompts, previous = _ask(own, place, rng)
    return PartialSample(
        image,
        own.astype(np.int32),
        prompts,
        previous,
        chosen.weight,
        own,
        chosen.box.class_number,
    )


def _crop(
    chosen: Correction, rng: np.random.Generator, sight: Sight, *, prompted: bool
) -> tuple[Tensor, Ids, tuple[float, float]]:
    """Return a warped view, and where a pixel of the chosen object lies in it."""
    source = chosen.source
    pixel = _random_pixel(source, chosen.box, rng)
    side = sight.side(source)
    centre = pixel if sight.spacing_um is not None else source.centre_yx
    if sight.spacing_um is None and prompted and rng.random() < 0.5:
        side = chosen.box.side * _ZOOM * rng.uniform(0.9, 1.6)
        side = min(max(side, _LEAST_SIDE), source.side)
        centre = chosen.box.centre_yx
    reach = 0.06 if prompted else 0.2
    if sight.spacing_um is not None:
        jitter = rng.uniform(-1, 1, 2) * reach * side
        centre = (centre[0] + jitter[0], centre[1] + jitter[1])
    warp = random_warp(
        rng,
        centre_yx=centre,
        side=side,
        output_px=sight.input_px,
        strength=sight.strength,
    )
    image, ids = read_view(source, warp, side, sight)
    middle = sight.input_px / 2
    return image, ids, warp.locate(*pixel) or (middle, middle)


def _random_pixel(
    source: Source, box: ObjectBox, rng: np.random.Generator
) -> tuple[float, float]:
    ids = source.labels[0].numpy()
    y0, x0 = (max(int(c - box.side / 2), 0) for c in box.centre_yx)
    reach = int(np.ceil(box.side)) + 2
    pixels = np.argwhere(ids[y0 : y0 + reach, x0 : x0 + reach] == box.id)
    y, x = pixels[rng.integers(len(pixels))]
    return float(y0 + y), float(x0 + x)


def _ask(
    own: NDArray[np.bool_], place: tuple[float, float], rng: np.random.Generator
) -> tuple[Prompts, NDArray[np.float32] | None]:
    """Return prompts on an object, and perhaps a wrong answer that they correct."""
    prompts = _first_prompts(own, place, rng)
    if rng.random() >= _SPOILT_SHARE:
        return prompts, None
    previous = spoil(own, rng)
    click = next_click(previous > 0.5, own, rng=rng)
    if click is not None:
        prompts = replace(prompts, clicks=(*prompts.clicks, click))
    return prompts, previous


def _first_prompts(
    own: NDArray[np.bool_], place: tuple[float, float], rng: np.random.Generator
) -> Prompts:
    kind = rng.random()
    if kind < 0.1:
        stroke = simulate_stroke(own, rng)
        if stroke is not None:
            return Prompts(strokes=(stroke,))
    if kind < 0.2:
        return Prompts(box=loose_box(own, rng))
    if kind > 0.85:
        return Prompts(clicks=first_clicks(own, rng))
    if kind > 0.55:
        click = next_click(np.zeros_like(own), own, rng=rng)
        if click is not None:
            return Prompts(clicks=(click,))
    pixels = np.argwhere(own)
    y, x = pixels[((pixels - np.asarray(place)) ** 2).sum(axis=1).argmin()]
    return Prompts(clicks=(Click(float(y), float(x)),))
