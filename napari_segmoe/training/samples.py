"""Samples as functions of (seed, epoch, index): warp, question and first prompt."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from napari_segmoe.data.click_simulation import (
    background_click,
    first_clicks,
    next_click,
    simulate_stroke,
)
from napari_segmoe.data.mask_classes import IGNORED
from napari_segmoe.data.prompt_maps import draw_prompts
from napari_segmoe.training.augmentation import (
    Warp,
    WarpStrength,
    augment_intensity,
    plain_warp,
    random_warp,
)
from napari_segmoe.training.sources import ObjectBox, Source
from napari_segmoe.types import Box, Click, Prompts, Stroke

_NO_CLASS = -1
_ZOOM = 1.4
_LEAST_CLASSIFIED_PX = 12


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One question with its answer.

    Attributes
    ----------
    image : Tensor, (3, n, n) float32
        In 0..1.
    truth : (n, n) bool
        What should be marked.
    prompts : Prompts
        Given so far, in pixels of this grid; empty for the automatic mode.
    previous : (n, n) float32 or None
        Probability of the answer before.
    image_class, object_class : int
        -1 where unknown or not asked for.
    ids : (n, n) int32 or None
        The objects that ``truth`` is made of; None: it is one.
    pooled : (n, n) bool or None
        The one object whose class is asked for; None: all of ``truth``.
    pools_truth : bool
        Whether the region head pools the truth, not the prediction.
    classes : (n, n) uint8 or None
        Class of each pixel of ``truth``, from 1; 255 where it is not known. None:
        the masks tell no classes.
    present : (C,) bool or None
        Which classes there are in the view, marked or not.
    """

    image: Tensor
    truth: NDArray[np.bool_]
    prompts: Prompts
    previous: NDArray[np.float32] | None
    image_class: int
    object_class: int
    ids: NDArray[np.int32] | None = None
    pooled: NDArray[np.bool_] | None = None
    pools_truth: bool = False
    classes: NDArray[np.uint8] | None = None
    present: NDArray[np.bool_] | None = None

    def maps(self) -> NDArray[np.float32]:
        """Return the prompt maps, (5, n, n)."""
        return draw_prompts(
            self.truth.shape,
            clicks=self.prompts.clicks,
            strokes=self.prompts.strokes,
            box=self.prompts.box,
            previous=self.previous,
        )

    def answered(
        self, probability: NDArray[np.float32], rng: np.random.Generator
    ) -> "Sample":
        """Return the sample after the user saw an answer and clicked again."""
        click = next_click(probability > 0.5, self.truth, rng=rng)
        if click is None:
            return self
        clicks = (*self.prompts.clicks, click)
        return replace(
            self, prompts=replace(self.prompts, clicks=clicks), previous=probability
        )


@dataclass(frozen=True, slots=True)
class SampleOptions:
    """How samples are drawn."""

    output_px: int
    prompt_share: float
    background_share: float
    strength: WarpStrength = field(default_factory=WarpStrength)
    augment: Callable[[Tensor, np.random.Generator], Tensor] = augment_intensity


def draw_sample(
    source: Source, rng: np.random.Generator, *, options: SampleOptions
) -> Sample:
    """Draw one augmented sample of a source.

    A sample without prompt asks for everything in the whole image; one with a prompt
    asks for one object, in the whole image or in a zoomed window, or clicks where
    nothing is and asks for an empty mask.
    """
    if rng.random() >= options.prompt_share:
        return _automatic_sample(source, rng, options)
    if not source.objects or rng.random() < options.background_share:
        return _background_sample(source, rng, options)
    return _object_sample(source, rng, options)


def plain_sample(source: Source, *, output_px: int) -> Sample:
    """Return the whole image, not augmented, without prompt."""
    return plain_view(source, output_px=output_px)[0]


def plain_view(source: Source, *, output_px: int) -> tuple[Sample, NDArray[np.integer]]:
    """Return the whole image, not augmented, without prompt, and its objects' ids."""
    warp = plain_warp(centre_yx=source.centre_yx, side=source.side, output_px=output_px)
    image, ids = _read(source, warp, source.side, output_px)
    sample = Sample(
        image, ids > 0, Prompts(), None, source.image_class, source.object_class
    )
    return with_classes(sample, source, ids), ids


def _automatic_sample(
    source: Source, rng: np.random.Generator, options: SampleOptions
) -> Sample:
    image, ids = _warped(source, rng, options, source.centre_yx, source.side)
    sample = Sample(
        options.augment(image, rng),
        ids > 0,
        Prompts(),
        None,
        source.image_class,
        source.object_class if ids.any() else _NO_CLASS,
    )
    return ask_for_one(with_classes(sample, source, ids), source, ids, rng)


def _background_sample(
    source: Source, rng: np.random.Generator, options: SampleOptions
) -> Sample:
    image, ids = _warped(source, rng, options, source.centre_yx, source.side)
    tissue = image.mean(dim=0).numpy() > 0.02
    click = background_click(ids > 0, rng, min_distance_px=8, allowed=tissue)
    clicks = () if click is None else (click,)
    truth = np.zeros(ids.shape, bool) if clicks else ids > 0
    known = source.image_class if not source.objects or not clicks else _NO_CLASS
    sample = Sample(
        options.augment(image, rng), truth, Prompts(clicks), None, known, _NO_CLASS
    )
    return with_classes(sample, source, ids)


def _object_sample(
    source: Source, rng: np.random.Generator, options: SampleOptions
) -> Sample:
    chosen = choose_object(source, rng)
    zoomed = rng.random() < 0.5
    centre, side = source.centre_yx, source.side
    if zoomed:
        side = min(max(chosen.side * _ZOOM * rng.uniform(0.9, 1.6), 64.0), side)
        jitter = rng.uniform(-0.1, 0.1, 2) * side
        centre = (chosen.centre_yx[0] + jitter[0], chosen.centre_yx[1] + jitter[1])
    image, ids = _warped(source, rng, options, centre, side)
    truth = ids == chosen.id
    prompts = _first_prompts(truth, rng)
    if not prompts:
        return _automatic_sample(source, rng, options)
    previous = spoil(truth, rng) if zoomed and rng.random() < 0.5 else None
    if previous is not None:
        click = next_click(previous > 0.5, truth, rng=rng)
        if click is not None:
            prompts = replace(prompts, clicks=(*prompts.clicks, click))
    sample = Sample(
        options.augment(image, rng),
        truth,
        prompts,
        previous,
        source.image_class,
        chosen.class_number if source.mask_classes else source.object_class,
    )
    return with_classes(sample, source, ids)


def choose_object(source: Source, rng: np.random.Generator) -> ObjectBox:
    """Draw an object; where masks tell classes, first a class and then one of it."""
    objects = source.objects
    if source.mask_classes:
        numbers = sorted({one.class_number for one in objects})
        number = numbers[rng.integers(len(numbers))]
        objects = tuple(one for one in objects if one.class_number == number)
    return objects[rng.integers(len(objects))]


def with_classes(sample: Sample, source: Source, ids: NDArray[np.integer]) -> Sample:
    """Return a sample with the classes of its pixels, where the masks tell them.

    Parameters
    ----------
    ids : (n, n) integers
        All objects in the view, marked or not.
    """
    if not source.mask_classes:
        return sample
    numbers = source.class_of_id[ids]
    present = np.zeros(source.mask_classes, bool)
    present[np.unique(numbers[ids > 0]) - 1] = True
    wanted = np.where(sample.truth | (numbers == IGNORED), numbers, 0).astype(np.uint8)
    return replace(sample, classes=wanted, present=present)


def ask_for_one(
    sample: Sample, source: Source, ids: NDArray[np.integer], rng: np.random.Generator
) -> Sample:
    """Return a sample that asks for the class of one object of many.

    A class is drawn first, then an object of it. Samples of masks without classes stay
    as they are.
    """
    if not source.mask_classes or not sample.truth.any():
        return sample
    numbers, areas = np.unique(ids[ids > 0], return_counts=True)
    numbers = numbers[areas >= min(_LEAST_CLASSIFIED_PX, areas.max())]
    classes = source.class_of_id[numbers]
    known = np.unique(classes)
    numbers = numbers[classes == known[rng.integers(len(known))]]
    chosen = numbers[rng.integers(len(numbers))]
    number = int(source.class_of_id[chosen]) - 1
    return replace(sample, pooled=ids == chosen, object_class=number)


def _first_prompts(truth: NDArray[np.bool_], rng: np.random.Generator) -> Prompts:
    kind = rng.random()
    if not truth.any():
        return Prompts()
    if kind < 0.12:
        stroke: Stroke | None = simulate_stroke(truth, rng)
        return Prompts(strokes=() if stroke is None else (stroke,))
    if kind < 0.24:
        return Prompts(box=loose_box(truth, rng))
    if kind < 0.55:
        pixels = np.argwhere(truth)
        y, x = pixels[rng.integers(len(pixels))]
        return Prompts(clicks=(Click(float(y), float(x)),))
    if kind < 0.85:
        click = next_click(np.zeros_like(truth), truth, rng=rng)
        return Prompts(clicks=() if click is None else (click,))
    return Prompts(clicks=first_clicks(truth, rng))


def loose_box(truth: NDArray[np.bool_], rng: np.random.Generator) -> Box:
    """Return a box around an object as a person draws it: a little off."""
    rows, columns = np.flatnonzero(truth.any(1)), np.flatnonzero(truth.any(0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    slack = rng.uniform(-0.03, 0.12, 4) * np.array([height, width, height, width])
    return Box(
        rows[0] - slack[0],
        columns[0] - slack[1],
        rows[-1] + 1 + slack[2],
        columns[-1] + 1 + slack[3],
    )


def spoil(truth: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a believable wrong answer: grown, shrunk, shifted or cut truth."""
    reach = max(int(np.sqrt(truth.sum()) * rng.uniform(0.05, 0.25)), 1)
    kind = rng.integers(4)
    if kind == 0:
        wrong = ndimage.distance_transform_edt(~truth) <= reach
    elif kind == 1:
        wrong = ndimage.distance_transform_edt(truth) > reach
    elif kind == 2:
        wrong = np.roll(truth, tuple(rng.integers(-reach, reach + 1, 2)), axis=(0, 1))
    else:
        wrong = truth.copy()
        pixels = np.argwhere(truth)
        cut = pixels[rng.integers(len(pixels))]
        axis = int(rng.integers(2))
        wrong[(slice(None),) * axis + (slice(cut[axis], None),)] = False
    soft = ndimage.gaussian_filter(wrong.astype(np.float32), rng.uniform(0.5, 3))
    return soft.astype(np.float32)


def _warped(
    source: Source,
    rng: np.random.Generator,
    options: SampleOptions,
    centre: tuple[float, float],
    side: float,
) -> tuple[Tensor, NDArray[np.integer]]:
    warp = random_warp(
        rng,
        centre_yx=centre,
        side=side,
        output_px=options.output_px,
        strength=options.strength,
    )
    return _read(source, warp, side, options.output_px)


def _read(
    source: Source, warp: Warp, side: float, output_px: int
) -> tuple[Tensor, NDArray[np.integer]]:
    level = source.level_for(side, output_px)
    scale = source.scale_yx(level)
    image = warp.read(source.levels[level].float() / 255, scale_yx=scale)
    ids: NDArray[np.integer] = np.zeros((output_px, output_px), np.uint8)
    if source.mask_classes:
        ids = _nearest_ids(source.labels[level], warp, scale)
    else:
        for found in source.objects:
            one = (source.labels[level] == found.id).float()[None]
            ids[warp.read(one, scale_yx=scale)[0].numpy() > 0.5] = found.id
    if image.shape[0] == 1:
        image = image.expand(3, -1, -1)
    return image.contiguous(), ids


def _nearest_ids(
    labels: Tensor, warp: Warp, scale_yx: tuple[float, float]
) -> NDArray[np.int32]:
    """Return ids under a warp, background outside; one look for any number of them."""
    rows, columns = (
        np.floor((axis + 0.5) * scale).astype(np.intp)
        for axis, scale in zip(warp.source_yx, scale_yx, strict=True)
    )
    height, width = labels.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    found = labels.numpy()[rows.clip(0, height - 1), columns.clip(0, width - 1)]
    return np.where(inside, found, 0).astype(np.int32)
