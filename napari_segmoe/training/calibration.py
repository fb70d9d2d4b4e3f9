"""Temperatures and thresholds of finished weights, from validation images only."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.click_simulation import background_click, next_click
from napari_segmoe.data.folder import stated_spacing_um
from napari_segmoe.data.mask_classes import MaskClasses
from napari_segmoe.data.masks import MaskKind
from napari_segmoe.data.splits import DataItem
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.inference.predictor import SegmentationPredictor
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.training.cases import Case, read_case
from napari_segmoe.training.class_metrics import fit_temperature
from napari_segmoe.types import Mask, Prediction

_EMPTY_STEPS = np.linspace(0.5, 1.0, 21)  # below 0.5 it may not be the likeliest
_REFUSE_STEPS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_ALLOWED_DICE_LOSS = 0.002
_WANTED_REFUSALS = 0.75
_MOST_REFUSED_OBJECTS = 0.1  # beyond what is not found at all
_MOST_CLICKED = 6  # objects an image


@dataclass(slots=True)
class _Findings:
    """What the validation images show."""

    mask_classes: MaskClasses | None = None
    image_logits: list[NDArray[np.float64]] = field(default_factory=list)
    image_truth: list[int] = field(default_factory=list)
    object_logits: list[NDArray[np.float64]] = field(default_factory=list)
    object_truth: list[int] = field(default_factory=list)
    object_peak: list[float] = field(default_factory=list)
    background_peak: list[float] = field(default_factory=list)
    empty_probability: list[float] = field(default_factory=list)
    dice: list[float | None] = field(default_factory=list)


def calibrate(
    network: WindowNetwork,
    items: Sequence[DataItem],
    *,
    seed: int = 0,
    mask_classes: MaskClasses | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> WeightsCard:
    """Return the network's card with temperatures and thresholds filled in.

    Parameters
    ----------
    network : WindowNetwork
        Its card must hold temperatures of 1; it holds the new ones afterwards.
    items : sequence of DataItem
        Validation images; never those that figures are reported on.
    seed : int
        Places the background clicks.
    mask_classes : MaskClasses, optional
        What the masks' values mean to the weights, where both tell classes apart; see
        `cases.shared_classes`. Objects then have classes of their own.
    on_progress : callable, optional
        Told the number of images done.

    Notes
    -----
    The empty class silences the automatic mode from the lowest probability that
    costs at most 0.002 of Dice. A first click is refused below the lowest peak
    probability, of nine, that refuses 75 % of clicks on background, but below none
    that refuses more than 10 % of clicks on objects beyond those that the lowest
    refuses: a click on an object that is refused annoys more than one on nothing that
    is answered.
    """
    findings = _Findings(mask_classes)
    network.card = network.card.model_copy(update={"refuse_below": _REFUSE_STEPS[0]})
    predictor = SegmentationPredictor(network)
    rng = np.random.default_rng(seed)
    for number, item in enumerate(items, start=1):
        _look_at(predictor, item, findings, rng)
        if on_progress is not None:
            on_progress(number)
    update: dict[str, float] = {}
    if findings.image_truth:
        update["image_temperature"] = fit_temperature(
            np.stack(findings.image_logits), np.array(findings.image_truth)
        )
    if findings.object_truth:
        update["object_temperature"] = fit_temperature(
            np.stack(findings.object_logits), np.array(findings.object_truth)
        )
    if network.card.empty_class is not None:
        update["empty_class_above"] = _choose_empty(findings)
    update["refuse_below"] = choose_refusal(
        findings.background_peak, findings.object_peak
    )
    rounded = {name: round(float(value), 4) for name, value in update.items()}
    network.card = network.card.model_copy(update=rounded)
    return network.card


def choose_refusal(background: Sequence[float], objects: Sequence[float]) -> float:
    """Return the peak probability below which a first click is refused.

    Parameters
    ----------
    background, objects : sequence of float
        Peak probability of what is found under each click on background and on an
        object, asked with the lowest threshold; 0 where nothing is.
    """
    empty, found = np.asarray(background), np.asarray(objects)
    least = _REFUSE_STEPS[0]
    most = np.mean(found < least) + _MOST_REFUSED_OBJECTS if found.size else 1.0
    chosen = least
    for threshold in _REFUSE_STEPS:
        if found.size and np.mean(found < threshold) > most:
            break
        chosen = threshold
        if not empty.size or np.mean(empty < threshold) >= _WANTED_REFUSALS:
            break
    return chosen


def _look_at(
    predictor: SegmentationPredictor,
    item: DataItem,
    findings: _Findings,
    rng: np.random.Generator,
) -> None:
    card = predictor.card
    case = _show(predictor, item, findings.mask_classes)
    truth = case.truth
    automatic = predictor.predict() if card.classes else None
    if automatic and automatic.classes and item.class_name in card.classes:
        findings.image_logits.append(_logits(automatic.classes.values()))
        findings.image_truth.append(card.classes.index(item.class_name))
        empty = automatic.classes.get(card.empty_class or "", 0.0)
        findings.empty_probability.append(empty)
        findings.dice.append(_dice(automatic.mask, truth) if truth.any() else None)
    for wanted in _objects_to_click(case, card):
        _click_inside(predictor, case, wanted, findings)
    click = background_click(truth, rng, min_distance_px=20)
    if click is not None:
        findings.background_peak.append(_peak(predictor.predict([click])))


def _show(
    predictor: SegmentationPredictor,
    item: DataItem,
    mask_classes: MaskClasses | None = None,
) -> Case:
    """Give the predictor an image; return it with what is marked in it."""
    kind = None if mask_classes is None else MaskKind.SEMANTIC
    case = read_case(item, kind, mask_classes)
    stated = stated_spacing_um(item)
    spacing = case.image.spacing_um if stated is None else (stated, stated)
    card = predictor.card
    predictor.set_image(
        case.image.pixels, spacing if card.spacing_um else None, modality=card.modality
    )
    return case


def _objects_to_click(case: Case, card: WeightsCard) -> list[Mask]:
    """Return some objects of an image; where only whole images count, all as one."""
    if card.spacing_um is None and case.classes is None:
        return [case.truth]
    numbers = np.unique(case.objects[case.objects > 0])
    step = max(len(numbers) / _MOST_CLICKED, 1.0)
    chosen = numbers[np.arange(0, len(numbers), step).astype(int)]
    return [np.asarray(case.objects == number) for number in chosen]


def _click_inside(
    predictor: SegmentationPredictor,
    case: Case,
    truth: Mask,
    findings: _Findings,
) -> None:
    click = next_click(np.zeros_like(truth), truth)
    if click is None:
        return
    answer = predictor.predict([click])
    findings.object_peak.append(_peak(answer))
    names = predictor.card.object_classes
    name = case.class_of(truth)
    if answer.classes and name in names:
        findings.object_logits.append(_logits(answer.classes.values()))
        findings.object_truth.append(names.index(name))


def _peak(answer: Prediction) -> float:
    """Return the largest probability of what a click found, 0 where nothing."""
    return float(answer.probability[answer.mask].max(initial=0.0))


def _choose_empty(findings: _Findings) -> float:
    empty = np.array(findings.empty_probability)
    dice = np.array([np.nan if d is None else d for d in findings.dice])
    rows = ~np.isnan(dice)
    if not rows.any():
        return 1.0
    for threshold in _EMPTY_STEPS:
        silenced = np.where(empty[rows] > threshold, 0.0, dice[rows])
        if silenced.mean() >= dice[rows].mean() - _ALLOWED_DICE_LOSS:
            return float(threshold)
    return 1.0


def _logits(probabilities: Iterable[float]) -> NDArray[np.float64]:
    values = np.array(list(probabilities), np.float64)
    return np.log(np.clip(values, 1e-7, 1))


def _dice(mask: Mask, truth: Mask) -> float:
    return float(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))
