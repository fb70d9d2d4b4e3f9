"""Samples at a pixel size: crops of a fixed physical size, never squeezed images."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_segmoe.data.click_simulation import (
    background_click,
    first_clicks,
    next_click,
    simulate_stroke,
)
from napari_segmoe.training.augmentation import (
    Warp,
    WarpStrength,
    plain_warp,
    random_warp,
)
from napari_segmoe.training.augmentation_presets import augmentation_for
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.samples import (
    Sample,
    ask_for_one,
    choose_object,
    loose_box,
    spoil,
    with_classes,
)
from napari_segmoe.training.scanner import add_glass, augment_section
from napari_segmoe.training.sources import ObjectBox, Source
from napari_segmoe.training.stain import augment_stain
from napari_segmoe.types import Click, Modality, Prompts

_NO_CLASS = -1
_WIDEST_WINDOW = 2.0
_LEAST_OBJECT_PX = 20
_LEAST_CLASSIFIED_PX = 200
_WHITE_SHARE = 0.2
_GLASS_SHARE = 0.12
_TISSUE = WarpStrength(
    rotation_deg=180.0, scale=0.0, stretch=0.08, shift=0.04, elastic=0.015
)

Ids = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class SpacedOptions:
    """How samples at a pixel size are drawn.

    Attributes
    ----------
    output_px : int
        Side of a sample.
    spacing_um : float
        Its pixel size, before scale jitter.
    prompt_share, background_share : float
        Share of samples with a prompt, and of those the share on background.
    strength : WarpStrength
        Its scale is not used.
    augment : callable
        Changes intensities.
    largest_zoom : float
        Scale jitter, either way.
    glass_share : float
        Share of samples with empty glass beside the tissue.
    """

    output_px: int
    spacing_um: float
    prompt_share: float
    background_share: float
    strength: WarpStrength = field(default_factory=lambda: _TISSUE)
    augment: Callable[[Tensor, np.random.Generator], Tensor] = augment_stain
    largest_zoom: float = 1.25
    glass_share: float = 0.0


def spaced_options(config: TrainingConfig) -> SpacedOptions:
    """Return the options of a run: histology turns anyhow and changes its stain."""
    tissue = config.modality is Modality.HISTOLOGY
    found = augmentation_for(config.modality, reach=config.warp_reach)
    return SpacedOptions(
        output_px=config.input_px,
        spacing_um=config.spacing_um or 1.0,
        prompt_share=config.prompt_share,
        background_share=config.background_share,
        strength=_TISSUE if tissue else replace(found.strength, scale=0.0),
        augment=_augment(config) if tissue else found.intensity,
        largest_zoom=config.largest_zoom,
        glass_share=_GLASS_SHARE if tissue and config.scanner_augmentation else 0.0,
    )


def _augment(
    config: TrainingConfig,
) -> Callable[[Tensor, np.random.Generator], Tensor]:
    return augment_section if config.scanner_augmentation else augment_stain


def draw_spaced_sample(
    source: Source, rng: np.random.Generator, *, options: SpacedOptions
) -> Sample:
    """Draw one augmented crop of a source that has a pixel size.

    A sample without prompt asks for all objects of a crop anywhere; one with a prompt
    asks for one object in a crop around the click, or clicks where nothing is.
    """
    if rng.random() >= options.prompt_share:
        return _automatic_sample(source, rng, options)
    if not source.objects or rng.random() < options.background_share:
        return _background_sample(source, rng, options)
    return _object_sample(source, rng, options)


def side_of(source: Source, *, output_px: int, spacing_um: float) -> float:
    """Return the side of a sample in full-resolution pixels."""
    return output_px * spacing_um / (source.spacing_um or spacing_um)


def plain_crop(
    source: Source, *, centre_yx: tuple[float, float], output_px: int, spacing_um: float
) -> tuple[Tensor, Ids]:
    """Return image and ids of a crop, not augmented, mirrored beyond the border."""
    side = side_of(source, output_px=output_px, spacing_um=spacing_um)
    warp = plain_warp(centre_yx=centre_yx, side=side, output_px=output_px)
    return read_mirrored(source, warp, side, white=False)


def object_at(ids: Ids, number: int, place: tuple[float, float]) -> NDArray[np.bool_]:
    """Return the piece of an object that is nearest to a place, (H, W).

    Mirrored copies of an object are other pieces.
    """
    pieces, count = ndimage.label(ids == number)
    if count <= 1:
        return np.asarray(pieces > 0)
    pixels = np.argwhere(pieces > 0)
    nearest = pixels[((pixels - np.asarray(place)) ** 2).sum(axis=1).argmin()]
    return np.asarray(pieces == pieces[tuple(nearest)])


def read_mirrored(
    source: Source, warp: Warp, side: float, *, white: bool
) -> tuple[Tensor, Ids]:
    """Return image and ids under a warp; beyond the border mirrored or white.

    Parameters
    ----------
    side : float
        Side of the warp's window in full-resolution pixels.
    """
    inner, outside = _mirror(warp.source_yx, source.shape)
    level = _level_for(source, side / warp.source_yx.shape[-1])
    image = Warp(inner).read(
        source.levels[level].float() / 255,
        scale_yx=source.scale_yx(level),
        padding="border",
    )
    rows, columns = (
        np.rint(axis).astype(np.intp).clip(0, size - 1)
        for axis, size in zip(inner, source.shape, strict=True)
    )
    ids: Ids = source.labels[0].numpy()[rows, columns]
    if white and outside.any():
        image = torch.where(torch.from_numpy(outside), torch.ones(()), image)
        ids = np.where(outside, 0, ids)
    return image.expand(3, -1, -1).contiguous(), ids


def _mirror(
    yx: NDArray[np.float32], shape: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return coordinates folded into the image, and where they were outside."""
    edges = yx + 0.5
    size = np.array(shape, np.float32)[:, None, None]
    folded = np.mod(edges, 2 * size)
    folded = np.minimum(folded, 2 * size - folded)
    outside = ((edges < 0) | (edges > size)).any(axis=0)
    return (folded - 0.5).astype(np.float32), np.asarray(outside)


def _level_for(source: Source, step: float) -> int:
    """Return the coarsest level whose pixels are at most a tenth larger."""
    chosen = 0
    for index in range(len(source.levels)):
        if 1 / source.scale_yx(index)[0] <= 1.1 * step:
            chosen = index
    return chosen


def _read_around(
    source: Source,
    rng: np.random.Generator,
    options: SpacedOptions,
    centre: tuple[float, float],
    side: float,
) -> tuple[Tensor, Ids, Warp]:
    side = side * float(np.exp(rng.uniform(-1, 1) * np.log(options.largest_zoom)))
    warp = random_warp(
        rng,
        centre_yx=centre,
        side=side,
        output_px=options.output_px,
        strength=options.strength,
    )
    image, ids = read_mirrored(source, warp, side, white=rng.random() < _WHITE_SHARE)
    if options.glass_share and rng.random() < options.glass_share:
        image, ids = add_glass(image, ids, rng)
    return image, ids, warp


def _anywhere(
    source: Source, rng: np.random.Generator, options: SpacedOptions
) -> tuple[Tensor, Ids]:
    side = side_of(source, output_px=options.output_px, spacing_um=options.spacing_um)
    centre = []
    for size in source.shape:
        margin = min(0.35 * side, size / 2)
        centre.append(float(rng.uniform(margin, size - margin)) - 0.5)
    found = _read_around(source, rng, options, (centre[0], centre[1]), side)
    return found[:2]


def _automatic_sample(
    source: Source, rng: np.random.Generator, options: SpacedOptions
) -> Sample:
    image, ids = _anywhere(source, rng, options)
    numbers, areas = np.unique(ids[ids > 0], return_counts=True)
    numbers = numbers[areas >= _LEAST_CLASSIFIED_PX]
    pooled = None
    if numbers.size:
        pooled = ids == numbers[rng.integers(numbers.size)]
    sample = Sample(
        options.augment(image, rng),
        ids > 0,
        Prompts(),
        None,
        source.image_class,
        _NO_CLASS if pooled is None else source.object_class,
        ids=np.maximum(ids, 0),
        pooled=pooled,
    )
    return ask_for_one(with_classes(sample, source, ids), source, ids, rng)


def _background_sample(
    source: Source, rng: np.random.Generator, options: SpacedOptions
) -> Sample:
    image, ids = _anywhere(source, rng, options)
    allowed = np.ones(ids.shape, bool)
    if rng.random() < 0.7:  # clicks are near the middle of their window
        allowed[:] = False
        quarter = options.output_px // 4
        allowed[quarter:-quarter, quarter:-quarter] = True
    click = background_click(ids > 0, rng, min_distance_px=6, allowed=allowed)
    if click is None:
        return _automatic_sample(source, rng, options)
    sample = Sample(
        options.augment(image, rng),
        np.zeros(ids.shape, bool),
        Prompts((click,)),
        None,
        _NO_CLASS,
        _NO_CLASS,
    )
    return with_classes(sample, source, ids)


def _object_sample(
    source: Source, rng: np.random.Generator, options: SpacedOptions
) -> Sample:
    chosen: ObjectBox = choose_object(source, rng)
    kind = rng.random()
    side = side_of(source, output_px=options.output_px, spacing_um=options.spacing_um)
    place = _random_pixel(source, chosen, rng)
    centre = place
    corrects = rng.random() < 0.3
    if kind < 0.2 or (corrects and rng.random() < 0.6):  # the window holds it all
        side = min(max(side, 1.15 * chosen.side), _WIDEST_WINDOW * side)
        centre = chosen.centre_yx if kind < 0.2 else place
    jitter = rng.normal(0, 0.06, 2) * side
    centre = (centre[0] + jitter[0], centre[1] + jitter[1])
    image, ids, warp = _read_around(source, rng, options, centre, side)
    located = warp.locate(*place) or (options.output_px / 2, options.output_px / 2)
    truth = object_at(ids, chosen.id, located)
    if truth.sum() < _LEAST_OBJECT_PX:
        return _automatic_sample(source, rng, options)
    prompts = _prompts(truth, located, kind, rng)
    previous = spoil(truth, rng) if corrects else None
    if previous is not None:
        click = next_click(previous > 0.5, truth, rng=rng)
        if click is not None:
            prompts = replace(prompts, clicks=(*prompts.clicks, click))
    sample = Sample(
        options.augment(image, rng),
        truth,
        prompts,
        previous,
        _NO_CLASS,
        chosen.class_number if source.mask_classes else source.object_class,
    )
    return with_classes(sample, source, ids)


def _prompts(
    truth: NDArray[np.bool_],
    located: tuple[float, float],
    kind: float,
    rng: np.random.Generator,
) -> Prompts:
    """Return the first prompts on an object; ``kind`` in 0..1 chooses which."""
    if kind < 0.1:
        stroke = simulate_stroke(truth, rng)
        if stroke is not None:
            return Prompts(strokes=(stroke,))
    elif kind < 0.2:
        return Prompts(box=loose_box(truth, rng))
    elif kind > 0.85:
        return Prompts(clicks=first_clicks(truth, rng))
    elif kind > 0.55:
        click = next_click(np.zeros_like(truth), truth, rng=rng)
        return Prompts(clicks=() if click is None else (click,))
    pixels = np.argwhere(truth)
    y, x = pixels[((pixels - np.asarray(located)) ** 2).sum(axis=1).argmin()]
    return Prompts(clicks=(Click(float(y), float(x)),))


def _random_pixel(
    source: Source, chosen: ObjectBox, rng: np.random.Generator
) -> tuple[float, float]:
    """Return a pixel of an object, full-resolution."""
    ids = source.labels[0].numpy()
    y0, x0 = (max(int(c - chosen.side / 2), 0) for c in chosen.centre_yx)
    reach = int(np.ceil(chosen.side)) + 2
    pixels = np.argwhere(ids[y0 : y0 + reach, x0 : x0 + reach] == chosen.id)
    y, x = pixels[rng.integers(len(pixels))]
    return float(y0 + y), float(x0 + x)
