"""Score the interactive mode with simulated clicks on a data folder.

Protocol (that of RITM and its successors): the next click falls on the deepest
pixel of the larger error, the mask is cut at 0.5, an object gets at most 20 clicks.
Every true object is clicked by itself; the other objects of its image count as
background. Objects below `SMALLEST_OBJECT_PX` pixels are left out and counted.
"""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_segmoe.data.click_simulation import (
    background_click,
    border_click,
    next_click,
)
from napari_segmoe.data.folder import DataFolder
from napari_segmoe.training.cases import (
    Case,
    ScoredPredictor,
    ScoringProgress,
    choose_items,
    count_leaky_groups,
    describe_split,
    read_case,
    shared_classes,
)
from napari_segmoe.training.click_report import ClickReportOptions, summarise_clicks
from napari_segmoe.training.metrics import measure_overlap
from napari_segmoe.training.unseen_groups import unseen_groups
from napari_segmoe.types import Click, Mask, Prediction

SMALLEST_OBJECT_PX = 30
CLICKS_IN_ANY_CASE = 10  # so that the IoU after 10 clicks is always measured
ENOUGH_IOU = 0.90
_TISSUE_WINDOW_PX = 21
_TISSUE_ABOVE = 12  # grey value of the local mean; below it is black margin

NextClick = Callable[[Mask, Mask], Click | None]


class Clicker(StrEnum):
    """How the simulated person clicks."""

    DETERMINISTIC = "deterministic"
    NOISY = "noisy"
    BORDER = "border"


@dataclass(frozen=True, slots=True)
class ClickOptions:
    """What is asked of a click evaluation."""

    clicker: Clicker = Clicker.DETERMINISTIC
    max_clicks: int = 20
    background_per_image: int = 2
    inside_per_object: int = 2
    least_distance_fraction: float = 0.08
    limit: int | None = None
    resamples: int = 1000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ObjectRun:
    """What happened to one object, click by click.

    Attributes
    ----------
    group, class_name : str
        Of its image; the class is its own where the masks tell classes apart.
    iou : tuple of float
        After each click, from an empty mask.
    iou_from_automatic : tuple of float
        Before any click (the automatic mask), then after each one.
    probabilities : tuple of mapping or None
        Class probabilities after each click; None where withheld.
    seconds : tuple of float
        Time that each click took.
    inside_refused : tuple of bool
        For single clicks at random places inside: answered "no object here"?
    has_others : bool
        Whether its image has objects of other classes.
    """

    group: str
    class_name: str | None
    iou: tuple[float, ...]
    iou_from_automatic: tuple[float, ...]
    probabilities: tuple[dict[str, float] | None, ...]
    seconds: tuple[float, ...]
    inside_refused: tuple[bool, ...]
    has_others: bool = False


@dataclass(slots=True)
class ClickRecord:
    """All that a click evaluation gathers before the report."""

    objects: list[ObjectRun] = field(default_factory=list)
    background: list[tuple[str, bool, bool]] = field(default_factory=list)
    too_small: int = 0


def evaluate_clicks(
    predictor: ScoredPredictor,
    folder: DataFolder | Path | str,
    split: str = "test",
    *,
    options: ClickOptions | None = None,
) -> Generator[ScoringProgress, None, dict[str, Any]]:
    """Click through one split of a data folder.

    Parameters
    ----------
    predictor : ScoredPredictor
        The network to score.
    folder : DataFolder or path
        The data.
    split : str
        Names separated by commas.
    options : ClickOptions, optional
        Clicker, budget and seed.

    Yields
    ------
    ScoringProgress
        After each image.

    Returns
    -------
    dict
        The report, ready for JSON; see `click_report.summarise_clicks`.

    Raises
    ------
    DataFolderError
        If the folder is unusable or an image has no mask.
    """
    options = options or ClickOptions()
    folder, items = choose_items(folder, split, limit=options.limit)
    record = ClickRecord()
    meaning = shared_classes(folder, predictor.card)
    for done, item in enumerate(items, start=1):
        rng = np.random.default_rng([options.seed, done])
        _click_through(
            predictor,
            read_case(item, folder.mask_kind, meaning),
            record,
            options=options,
            rng=rng,
        )
        yield ScoringProgress(done, len(items), item.name)
    report = summarise_clicks(
        record.objects,
        record.background,
        tuple(predictor.card.object_classes),
        options=ClickReportOptions(options.max_clicks, options.resamples, options.seed),
        unseen=unseen_groups(folder, items, predictor.card),
    )
    leaky = count_leaky_groups(folder, items)
    report |= describe_split(folder, split)
    report |= {
        "weights": predictor.card.name,
        "clicker": str(options.clicker),
        "max_clicks": options.max_clicks,
        "threshold": 0.5,
        "smallest_object_px": SMALLEST_OBJECT_PX,
        "objects_too_small": record.too_small,
    }
    return report | ({"leaky_groups": leaky} if leaky else {})


def click_object(
    predictor: ScoredPredictor,
    truth: Mask,
    *,
    click_next: NextClick,
    max_clicks: int,
    start: Mask | None = None,
) -> tuple[list[float], list[Prediction], list[float]]:
    """Click one object until it is good or the clicks are spent.

    Parameters
    ----------
    predictor : ScoredPredictor
        Has the image already.
    truth : (H, W) bool
        The object.
    click_next : callable
        Gives the next click from the present mask and the truth.
    max_clicks : int
        Budget.
    start : (H, W) bool, optional
        Mask to correct. Default: nothing marked.

    Returns
    -------
    list of float, list of Prediction, list of float
        IoU, answer and seconds of each click.
    """
    mask = np.zeros_like(truth) if start is None else start
    previous: Prediction | Mask | None = start
    clicks: list[Click] = []
    scores: list[float] = []
    answers: list[Prediction] = []
    seconds: list[float] = []
    while len(clicks) < max_clicks:
        click = click_next(mask, truth)
        if click is None:
            break
        clicks.append(click)
        began = time.perf_counter()
        answer = predictor.predict(tuple(clicks), previous=previous)
        seconds.append(time.perf_counter() - began)
        answers.append(answer)
        mask, previous = answer.mask, answer
        scores.append(measure_overlap(mask, truth).iou)
        if len(clicks) >= CLICKS_IN_ANY_CASE and max(scores) >= ENOUGH_IOU:
            break
    return scores, answers, seconds


def find_tissue(pixels: NDArray[np.uint8]) -> Mask:
    """Find where an image shows something, not black margin.

    Parameters
    ----------
    pixels : (H, W) or (H, W, 3) uint8
        The image.

    Returns
    -------
    (H, W) bool
        Where the local mean of the grey value is above 12 of 255.
    """
    grey = pixels.astype(np.float32)
    if grey.ndim == 3:
        grey = grey.mean(-1)
    return ndimage.uniform_filter(grey, _TISSUE_WINDOW_PX) > _TISSUE_ABOVE


def _click_through(
    predictor: ScoredPredictor,
    case: Case,
    record: ClickRecord,
    *,
    options: ClickOptions,
    rng: np.random.Generator,
) -> None:
    case.show_to(predictor)
    automatic = predictor.predict()
    for truth in _object_masks(case.objects):
        if np.count_nonzero(truth) < SMALLEST_OBJECT_PX:
            record.too_small += 1
            continue
        run = _run_object(predictor, case, truth, automatic, options=options, rng=rng)
        record.objects.append(run)
    has_object = bool(case.truth.any())
    for refused in _click_background(predictor, case, options, rng):
        record.background.append((case.item.group, has_object, refused))


def _run_object(
    predictor: ScoredPredictor,
    case: Case,
    truth: Mask,
    automatic: Prediction,
    *,
    options: ClickOptions,
    rng: np.random.Generator,
) -> ObjectRun:
    click_next = _choose_clicker(options.clicker, rng)
    budget = options.max_clicks
    scores, answers, seconds = click_object(
        predictor, truth, click_next=click_next, max_clicks=budget
    )
    start = _nearest_object(automatic, truth)
    corrected, _, more_seconds = click_object(
        predictor, truth, click_next=click_next, max_clicks=budget, start=start
    )
    refused = [
        not predictor.predict((click,)).mask.any()
        for click in _clicks_inside(truth, options.inside_per_object, rng)
    ]
    return ObjectRun(
        group=case.item.group,
        class_name=case.class_of(truth),
        has_others=case.has_several_classes,
        iou=tuple(scores),
        iou_from_automatic=(measure_overlap(start, truth).iou, *corrected),
        probabilities=tuple(dict(a.classes) if a.classes else None for a in answers),
        seconds=(*seconds, *more_seconds),
        inside_refused=tuple(refused),
    )


def _choose_clicker(clicker: Clicker, rng: np.random.Generator) -> NextClick:
    if clicker is Clicker.NOISY:
        return lambda mask, truth: next_click(mask, truth, rng=rng)
    if clicker is Clicker.BORDER:
        return lambda mask, truth: border_click(mask, truth, rng)
    return next_click


def _object_masks(objects: NDArray[np.integer]) -> Iterable[Mask]:
    return (objects == index for index in np.unique(objects[objects > 0]))


def _nearest_object(automatic: Prediction, truth: Mask) -> Mask:
    """Return the automatic object that overlaps the truth most; it may be empty."""
    touched = automatic.labels[truth]
    touched = touched[touched > 0]
    if touched.size == 0:
        return np.zeros_like(truth)
    return automatic.labels == np.bincount(touched).argmax()


def _clicks_inside(truth: Mask, count: int, rng: np.random.Generator) -> list[Click]:
    chosen: Sequence[int] = rng.choice(np.flatnonzero(truth), count).tolist()
    rows_columns = [divmod(index, truth.shape[1]) for index in chosen]
    return [Click(float(row), float(column)) for row, column in rows_columns]


def _click_background(
    predictor: ScoredPredictor,
    case: Case,
    options: ClickOptions,
    rng: np.random.Generator,
) -> list[bool]:
    """Click tissue away from every object; True where the answer is empty."""
    distance_px = options.least_distance_fraction * min(case.truth.shape)
    tissue = find_tissue(case.image.pixels)
    answers = []
    for _ in range(options.background_per_image):
        click = background_click(
            case.truth, rng, min_distance_px=distance_px, allowed=tissue
        )
        if click is not None:
            answers.append(not predictor.predict((click,)).mask.any())
    return answers
