"""Whether corrections can be true: what the base network and its answers say of them.

A hold-out that is as wrong as the corrections agrees with them. So before anything is
learnt, corrections are held against what the base weights see: in the images as they
are and, where those look foreign, made to look familiar (`looks`). Somebody who
corrects a model moves outlines, adds what was missed and drops what is none; he does
not contradict it everywhere, nor in one direction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from math import comb

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal
from scipy.stats import rankdata

from napari_segmoe.training.finetune.probes import Probe, ProbeAnswer

LEAST_AGREEMENT = 0.62
LARGEST_SHIFT_PX = 4.0
LARGEST_SPREAD_PX = 10.0
_UNRELATED = 0.45  # agreement below it is contradiction
_SEARCH_PX = 24
_RING_PX = 7
_SWAP_MARGIN = 0.2
_SWAP_CHANCE = 0.2  # to look at the classes again costs less than to teach wrong ones
_MOST_CLASSES = 5
_LEAST_PX = 30


@dataclass(frozen=True, slots=True)
class Consistency:
    """Figures of a round's corrections under the base network.

    Attributes
    ----------
    objects : int
        Looked at.
    agreement : float
        Chance that a pixel of an object scores higher than one of the background
        around it, mean over objects; 1 in full agreement, 0.5 of unrelated masks.
    shift_px : float
        How far all objects would have to move together to agree best, network pixels.
    spread_px : float
        How far each would have to move by itself, median.
    class_agreement, swapped_agreement : float or None
        Share of objects whose class the network confirms: as they are, and under the
        exchange of classes that suits it best.
    class_objects : int
        Objects with a class.
    reasons : tuple of str
        Why they are refused; empty: they are not.
    """

    objects: int
    agreement: float
    shift_px: float
    spread_px: float
    class_agreement: float | None
    swapped_agreement: float | None
    class_objects: int
    reasons: tuple[str, ...]

    def figures(self) -> dict[str, float]:
        """Return the figures by name."""
        found = {
            "objects": float(self.objects),
            "agreement": self.agreement,
            "shift_px": self.shift_px,
            "spread_px": self.spread_px,
        }
        if self.class_agreement is not None:
            found["class_agreement"] = self.class_agreement
        if self.swapped_agreement is not None:
            found["swapped_agreement"] = self.swapped_agreement
        return found


def check_consistency(
    probes: Sequence[Probe], answers: Sequence[Sequence[ProbeAnswer]]
) -> Consistency:
    """Hold corrections against the base network's answers.

    Parameters
    ----------
    probes : sequence of Probe
    answers : sequences of ProbeAnswer
        Of the same probes under several looks; of each figure that counts which is the
        most favourable to the corrections.
    """
    agreement = max(
        mean_agreement(probes, [one.scores for one in found]) for found in answers
    )
    shifts = [shifts_of(probes, [one.scores for one in found]) for found in answers]
    shift, spread = (min(found) for found in zip(*shifts, strict=True))
    classes = max(
        (_class_agreement(probes, found) for found in answers),
        key=lambda found: found.confirmed,
    )
    reasons = _mask_reasons(agreement, shift, spread)
    if classes.is_swapped:
        reasons.append(
            f"The classes look exchanged: the weights confirm {classes.confirmed} of"
            f" {classes.objects} as they are, {classes.swapped} if classes change"
            " places. Look at them again, or learn from masks alone (learn_classes)."
        )
    count = classes.objects
    return Consistency(
        objects=len(probes),
        agreement=agreement,
        shift_px=shift,
        spread_px=spread,
        class_agreement=classes.confirmed / count if count else None,
        swapped_agreement=classes.swapped / count if count else None,
        class_objects=count,
        reasons=tuple(reasons),
    )


def _mask_reasons(agreement: float, shift: float, spread: float) -> list[str]:
    is_shifted = shift > LARGEST_SHIFT_PX or spread > LARGEST_SPREAD_PX
    if is_shifted and agreement >= _UNRELATED:
        return [
            f"The outlines lie beside what they outline: all by {shift:.1f} network"
            f" pixels (at most {LARGEST_SHIFT_PX:g}), each by {spread:.1f} (at most"
            f" {LARGEST_SPREAD_PX:g}). Masks and images may be shifted against each"
            " other."
        ]
    if agreement < LEAST_AGREEMENT:
        return [
            "The corrections contradict what these weights see: only"
            f" {agreement:.0%} of pixel pairs agree (at least {LEAST_AGREEMENT:.0%} are"
            " needed). Objects and background may be exchanged; for another kind of"
            " object train weights of its own."
        ]
    return []


def mean_agreement(
    probes: Sequence[Probe], scores: Sequence[NDArray[np.float32]]
) -> float:
    """Return the mean area under the ROC curve, objects against their surroundings."""
    found = []
    for probe, score in zip(probes, scores, strict=True):
        inside, around = probe.own, (probe.ids == 0)
        if inside.sum() < _LEAST_PX or around.sum() < _LEAST_PX:
            continue
        ranks = rankdata(np.concatenate([score[inside], score[around]]))
        count = int(inside.sum())
        above = ranks[:count].sum() - count * (count + 1) / 2
        found.append(above / (count * int(around.sum())))
    return float(np.mean(found)) if found else 1.0


def shifts_of(
    probes: Sequence[Probe], scores: Sequence[NDArray[np.float32]]
) -> tuple[float, float]:
    """Return how far objects would have to move to agree best, network pixels.

    Returns
    -------
    (float, float)
        All of them together, and each by itself: the median.
    """
    total: NDArray[np.float64] | None = None
    lengths = []
    for probe, score in zip(probes, scores, strict=True):
        own = probe.own
        if own.sum() < _LEAST_PX or own.all():
            continue
        fit = _fit_by_shift(own, score)
        lengths.append(_length(fit))
        total = fit if total is None else total + fit
    if total is None:
        return 0.0, 0.0
    return _length(total), float(np.median(lengths))


def _fit_by_shift(
    own: NDArray[np.bool_], score: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return how well the scores fit an object at each displacement, (2r+1, 2r+1)."""
    probability = 1 / (1 + np.exp(-np.clip(score, -8, 8)))
    ring = ndimage.binary_dilation(own, iterations=_RING_PX) & ~own
    kernel = own / own.sum() - ring / max(ring.sum(), 1)
    reach = _SEARCH_PX
    padded = np.pad(probability, reach, mode="edge")
    return np.asarray(signal.fftconvolve(padded, kernel[::-1, ::-1], mode="valid"))


def _length(fit: NDArray[np.float64]) -> float:
    y, x = np.unravel_index(int(fit.argmax()), fit.shape)
    return float(np.hypot(y - _SEARCH_PX, x - _SEARCH_PX))


@dataclass(frozen=True, slots=True)
class _ClassAgreement:
    objects: int = 0
    confirmed: int = 0
    swapped: int = 0
    is_swapped: bool = False


def _class_agreement(
    probes: Sequence[Probe], answers: Sequence[ProbeAnswer]
) -> _ClassAgreement:
    pairs = [
        (probe.object_class, int(found.class_scores.argmax()), len(found.class_scores))
        for probe, found in zip(probes, answers, strict=True)
        if probe.object_class >= 0 and found.class_scores is not None
    ]
    if not pairs:
        return _ClassAgreement()
    count = pairs[0][2]
    table = np.zeros((count, count), int)
    for stated, seen, _ in pairs:
        table[stated, seen] += 1
    confirmed = int(np.trace(table))
    if count > _MOST_CLASSES or len({stated for stated, *_ in pairs}) < 2:
        return _ClassAgreement(len(pairs), confirmed, confirmed)
    best = max(
        permutations(range(count)),
        key=lambda order: table[range(count), list(order)].sum(),
    )
    swapped = int(table[range(count), list(best)].sum())
    gained = int(sum(table[i, j] for i, j in enumerate(best) if i != j))
    lost = int(sum(table[i, i] for i, j in enumerate(best) if i != j))
    is_swapped = (
        swapped - confirmed > _SWAP_MARGIN * len(pairs)
        and _chance(gained, lost) < _SWAP_CHANCE
    )
    return _ClassAgreement(len(pairs), confirmed, swapped, is_swapped)


def _chance(more: int, fewer: int) -> float:
    """Return the chance of so uneven a division, or a more uneven one; sign test."""
    total = more + fewer
    return float(sum(comb(total, k) for k in range(more, total + 1)) / 2**total)
