"""Whether what a round learnt may be published: better, and nothing forgotten."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student
from scipy.stats import wilcoxon
from torch import nn

from napari_segmoe.training.bootstrap import bootstrap_interval
from napari_segmoe.training.finetune.network import Machine, answer
from napari_segmoe.training.finetune.probes import PlaceScores
from napari_segmoe.training.finetune.replay import KeptView, stack_kept
from napari_segmoe.training.finetune.settings import RoundSettings

_RESAMPLES = 2000
_SURE = 1.1  # a score whose probability is 0.75
_SPECK = 0.02  # of a view
_LEFT_OUT = 4  # one view of so many
_CLICK_LOSS = 0.01
_CLASS_LOSS = 0.05
_NO_LOSS_CHANCE = 0.1  # largest chance that a loss of these is none
_IN_ANY_CASE = 0.1
_RANKED = 5  # groups from which ranks tell more than means
_SAME = 1e-9
LEAST_PLACES = 3


_PAIRED = (("dice", "gain"), ("click_iou", "click_gain"), ("score", "score_gain"))


class Decision(StrEnum):
    """What the guard decided."""

    PUBLISH = "publish"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The guard's decision.

    Attributes
    ----------
    decision : Decision
    reason : str
        Why, in one or two sentences.
    figures : mapping of str to float
        All that it was decided by.
    """

    decision: Decision
    reason: str
    figures: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Old and new figures of the same images.

    Attributes
    ----------
    old, new : mapping of str to PlaceScores
        By image.
    unit_of : mapping of str to str
        Patient, slide, image or tile of each; drawn together.
    """

    old: Mapping[str, PlaceScores]
    new: Mapping[str, PlaceScores]
    unit_of: Mapping[str, str]

    @property
    def places(self) -> list[str]:
        """Images that both have figures of."""
        return sorted(set(self.old) & set(self.new))

    def column(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return a figure of the old and of the new weights, NaN where undefined."""
        old, new = (
            np.array([_number(getattr(side[place], name)) for place in self.places])
            for side in (self.old, self.new)
        )
        return old, new


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def decide(
    compared: Comparison,
    *,
    old_domain_loss: float,
    learns_classes: bool,
    settings: RoundSettings,
) -> Verdict:
    """Decide by what the hold-out and the old images say.

    Published is what raises the hold-out's Dice, or its mean with the first click's
    IoU, beyond noise, or, where classes are learnt, the share of right classes; in no
    case at the cost of Dice, of the first click or of old images.

    Parameters
    ----------
    compared : Comparison
    old_domain_loss : float
        Dice lost on old images, or on made-up and old-looking ones.
    learns_classes : bool
    settings : RoundSettings
    """
    figures = compare(compared, settings)
    figures["old_domain_loss"] = old_domain_loss
    objections = list(_objections(figures, learns_classes, settings))
    gains = _gains(figures, learns_classes, settings)
    if len(compared.places) < LEAST_PLACES:
        objections.insert(0, "Too few images to judge by.")
    elif not gains:
        objections.insert(
            0,
            f"No gain beyond noise on the hold-out: Dice {figures['old_dice']:.3f} ->"
            f" {figures['dice']:.3f}, first click's IoU {figures['old_click_iou']:.3f}"
            f" -> {figures['click_iou']:.3f}, chance of no gain"
            f" {figures['score_gain_worse_chance']:.0%}.",
        )
    if objections:
        return Verdict(Decision.ROLLBACK, " ".join(objections), figures)
    return Verdict(
        Decision.PUBLISH,
        f"Better on the hold-out: Dice {figures['old_dice']:.3f} ->"
        f" {figures['dice']:.3f}, first click's IoU {figures['old_click_iou']:.3f} ->"
        f" {figures['click_iou']:.3f}, over {len(compared.places)} images; old images"
        f" lose {max(old_domain_loss, 0.0):.3f}.",
        figures,
    )


def compare(compared: Comparison, settings: RoundSettings) -> dict[str, float]:
    """Return the paired figures of a comparison, by name."""
    figures: dict[str, float] = {"images": float(len(compared.places))}
    figures["objects"] = float(
        sum(compared.new[place].objects for place in compared.places)
    )
    groups = [compared.unit_of[place] for place in compared.places]
    for name, gain in _PAIRED:
        old, new = compared.column(name)
        figures |= _paired(name, gain, old, new, groups, settings)
    old, new = compared.column("accuracy")
    known = ~np.isnan(old) & ~np.isnan(new)
    if known.any():
        kept = [
            group for group, is_known in zip(groups, known, strict=True) if is_known
        ]
        figures |= _paired(
            "accuracy", "accuracy_gain", old[known], new[known], kept, settings
        )
    if "gain" in figures:
        figures["worse_chance"] = figures.pop("gain_worse_chance")
    return figures


def _paired(
    name: str,
    gain: str,
    old: NDArray[np.float64],
    new: NDArray[np.float64],
    groups: Sequence[str],
    settings: RoundSettings,
) -> dict[str, float]:
    if not old.size:
        return {}
    found = {f"old_{name}": float(old.mean()), name: float(new.mean())}
    for prefix, values in (("", new), ("old_", old)):
        interval = bootstrap_interval(
            values, groups=groups, resamples=_RESAMPLES // 2, seed=settings.seed
        )
        for end in ("low", "high"):
            found[f"{prefix}{name}_{end}"] = float(interval[end] or 0.0)
    found[gain] = float((new - old).mean())
    found[f"{gain}_worse_chance"] = chance_of_no_gain(
        new - old, groups, least=settings.least_gain, seed=settings.seed
    )
    found[f"{gain}_no_loss_chance"] = chance_of_no_gain(
        old - new, groups, seed=settings.seed
    )
    return found


def chance_of_no_gain(
    differences: NDArray[np.float64],
    groups: Sequence[str],
    *,
    least: float = 0.0,
    seed: int = 0,
) -> float:
    """Return the chance that the mean difference is no more than ``least``.

    Parameters
    ----------
    differences : (N,) float
        New less old, one an image.
    groups : sequence of str
        Images of one group are drawn together.
    least, seed : float, int

    Notes
    -----
    Wilcoxon's one-sided signed-rank p over the groups' means: one image that changes
    much decides nothing. It needs five groups; below, the larger of the paired
    bootstrap's share and of Student's p, since few images that happen to agree convince
    the bootstrap too easily.
    """
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    count = len(names)
    sums = np.bincount(index, weights=differences - least, minlength=count)
    sizes = np.bincount(index, minlength=count)
    by_group = sums / sizes
    if count >= _RANKED and np.any(np.abs(by_group) > _SAME):
        rounded = by_group.round(9)  # ties are ties, whatever the last bit says
        return float(wilcoxon(rounded, alternative="greater").pvalue)
    rng = np.random.default_rng([seed, 51])
    drawn = rng.integers(count, size=(_RESAMPLES, count))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    share = float((means <= 0).mean())
    if count < 2:
        return 1.0
    spread = float(by_group.std(ddof=1)) / np.sqrt(count)
    if spread < _SAME:
        return max(share, 0.0 if by_group.mean() > 0 else 1.0)
    tail = float(student.sf(by_group.mean() / spread, count - 1))
    return max(share, tail)


def _gains(
    figures: Mapping[str, float], learns_classes: bool, settings: RoundSettings
) -> bool:
    if figures.get("gain", -1.0) < -_SAME:
        return False
    if _is_gain(figures, "gain", "worse_chance", settings):
        return True
    if _is_gain(figures, "score_gain", "score_gain_worse_chance", settings):
        return True
    chance = "accuracy_gain_worse_chance"
    return learns_classes and _is_gain(figures, "accuracy_gain", chance, settings)


def _is_gain(
    figures: Mapping[str, float], gain: str, chance: str, settings: RoundSettings
) -> bool:
    if gain not in figures:
        return False
    return (
        figures[gain] > settings.least_gain and figures[chance] <= settings.worse_chance
    )


def _objections(
    figures: Mapping[str, float], learns_classes: bool, settings: RoundSettings
) -> list[str]:
    found = []
    if figures["old_domain_loss"] > settings.old_domain_loss:
        found.append(
            f"Old images lose {figures['old_domain_loss']:.3f} Dice (at most"
            f" {settings.old_domain_loss:g})."
        )
    if _is_loss(figures, "click_gain", _CLICK_LOSS):
        found.append(
            f"The first click gets worse: IoU {figures['old_click_iou']:.3f} ->"
            f" {figures['click_iou']:.3f}."
        )
    if learns_classes and _is_loss(figures, "accuracy_gain", _CLASS_LOSS):
        found.append(
            f"Classes get worse: {figures['old_accuracy']:.0%} ->"
            f" {figures['accuracy']:.0%} right."
        )
    return found


def _is_loss(figures: Mapping[str, float], gain: str, least: float) -> bool:
    """Return whether a figure falls: beyond noise, or far in any case."""
    fallen = -figures.get(gain, 0.0)
    chance = figures.get(f"{gain}_no_loss_chance", 1.0)
    return fallen > _IN_ANY_CASE or (fallen > least and chance <= _NO_LOSS_CHANCE)


@torch.no_grad()
def agreement_loss(
    model: nn.Module, views: Sequence[KeptView], machine: Machine
) -> float:
    """Return 1 - Dice of a network's masks against the base's, mean over views.

    Over the pixels that the base network is sure of: an edge that moves by a pixel
    within its doubt is no loss, nor a speck where it marks nothing. The worst quarter
    of the views is left out: on the project's own tissue a correction may rightly have
    changed an answer, while what is forgotten is forgotten everywhere. On glands of a
    foreign stain the mean of all views was 0.048 where real old images gained 0.005.
    """
    losses: list[float] = []
    for first in range(0, len(views), machine.batch):
        chosen = views[first : first + machine.batch]
        images, prompts, counted, kept = stack_kept(chosen, [(0, False)] * len(chosen))
        with machine.autocast():
            output = answer(
                model, images.to(machine.device), prompts.to(machine.device)
            )
        wanted = kept.heads.mask
        counts = (wanted.abs() > _SURE) & (counted > 0)
        marked = (output.foreground.float().cpu() > 0) & counts
        known = (wanted > 0) & counts
        apart = (marked ^ known).sum(dim=(1, 2, 3)).float()
        sizes = (marked.sum(dim=(1, 2, 3)) + known.sum(dim=(1, 2, 3))).float()
        speck = _SPECK * counts[0].numel()
        losses += (apart / (sizes + speck)).tolist()
    usual = sorted(losses)[: len(losses) - len(losses) // _LEFT_OUT]
    return sum(usual) / len(usual) if usual else 0.0
