"""From a round's scores to its verdict, and what is told of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from napari_segmoe.training.finetune.guard import (
    LEAST_PLACES,
    Comparison,
    Decision,
    Verdict,
    agreement_loss,
    decide,
)
from napari_segmoe.training.finetune.network import Machine
from napari_segmoe.training.finetune.old_data import old_dice
from napari_segmoe.training.finetune.prelude import Prelude
from napari_segmoe.training.finetune.probes import PlaceScores, score_places
from napari_segmoe.training.finetune.settings import RoundSettings

Event = dict[str, Any]
Scores = dict[str, PlaceScores]
_CORRECTIONS = "corrections_"
_LEAST_MADE_UP = 6
_HOLD_OUT = (
    "images", "objects", "old_dice", "old_dice_low", "old_dice_high", "dice",
    "dice_low", "dice_high", "gain", "worse_chance", "old_click_iou", "click_iou",
    "click_gain", "score_gain", "score_gain_worse_chance", "old_accuracy", "accuracy",
    "accuracy_gain",
)  # fmt: skip
_OLD_DOMAIN = (
    "old_domain_loss", "agreement_loss", "tissue_agreement_loss",
    "old_domain_old_dice", "old_domain_dice",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ending:
    """How a round ended.

    Attributes
    ----------
    decision : str
        "publish" or "rollback".
    version : int or None
        What was published.
    reason : str
    figures : mapping of str to float
    """

    decision: str
    version: int | None
    reason: str
    figures: Mapping[str, float]


def refuse(prelude: Prelude) -> Verdict:
    """Return the verdict on corrections that cannot be true."""
    return Verdict(Decision.ROLLBACK, " ".join(prelude.consistency.reasons), {})


def hopeless(
    prelude: Prelude,
    scores: Mapping[int, Scores],
    model: nn.Module,
    settings: RoundSettings,
    machine: Machine,
) -> Verdict | None:
    """Return the verdict where all folds are known and none can be published.

    ``model`` is that of the last fold: what old images lose is told of it.
    """
    verdict = _decide(prelude, scores, 0.0, settings)
    if verdict.decision is Decision.PUBLISH:
        return None
    found = old_figures(prelude, model, machine)
    return Verdict(verdict.decision, verdict.reason, {**verdict.figures, **found})


def judge(
    prelude: Prelude,
    scores: Mapping[int, Scores],
    model: nn.Module,
    settings: RoundSettings,
    machine: Machine,
) -> Verdict:
    """Return the verdict on what was learnt: the hold-out's scores, and old images."""
    found = old_figures(prelude, model, machine)
    verdict = _decide(prelude, scores, found["old_domain_loss"], settings)
    return Verdict(verdict.decision, verdict.reason, {**verdict.figures, **found})


def old_figures(
    prelude: Prelude, model: nn.Module, machine: Machine
) -> dict[str, float]:
    """Return what old images lose: real ones where there are any, else by agreement.

    Agreement on made-up images where the old network finds enough in them; else on the
    project's own tissue, where corrections may rightly have changed an answer: on
    glands of a foreign stain that came to 0.06 where real old images lost 0.009.
    """
    found = {"tissue_agreement_loss": agreement_loss(model, prelude.judging, machine)}
    found["agreement_loss"] = found["tissue_agreement_loss"]
    if knows_made_up(prelude):
        found["agreement_loss"] = agreement_loss(model, prelude.made_up, machine)
    found["old_domain_loss"] = found["agreement_loss"]
    if prelude.old_data is not None:
        views = prelude.old_data.judging
        old, new = (old_dice(one, views, machine) for one in (prelude.root, model))
        found |= {"old_domain_old_dice": old, "old_domain_dice": new}
        found["old_domain_loss"] = old - new
    return found


def knows_made_up(prelude: Prelude) -> bool:
    """Return whether the old network finds enough in made-up images to judge by."""
    return len(prelude.made_up) >= _LEAST_MADE_UP


def _decide(
    prelude: Prelude,
    scores: Mapping[int, Scores],
    old_domain_loss: float,
    settings: RoundSettings,
) -> Verdict:
    if prelude.old_data is None and not knows_made_up(prelude):
        most = max(settings.agreement_loss, settings.old_domain_loss)
        settings = settings.model_copy(update={"old_domain_loss": most})
    return decide(
        compare_scores(prelude, scores),
        old_domain_loss=old_domain_loss,
        learns_classes=prelude.learns_classes,
        settings=settings,
    )


def compare_scores(prelude: Prelude, scores: Mapping[int, Scores]) -> Comparison:
    """Return old and new scores of the objects that were held out.

    Objects that the start has learnt from in an earlier round are left out where enough
    others remain: it would look better on them than it is.
    """
    new: Scores = {}
    for found in scores.values():
        new |= found
    pairs = [
        (probe, said)
        for probe, said in zip(prelude.gathered.probes, prelude.answers, strict=True)
        if probe.fold in scores
    ]
    unseen = [one for one in pairs if one[0].unit not in prelude.units_learnt]
    if len({one.place for one, _ in unseen}) >= LEAST_PLACES:
        pairs = unseen
    old = score_places([one for one, _ in pairs], [said for _, said in pairs])
    return Comparison(old, new, {probe.place: probe.unit for probe, _ in pairs})


def tell_ending(ending: Ending, *, epoch: int, seconds: float) -> tuple[Event, Event]:
    """Return the events "guard" and "done"."""
    figures = dict(ending.figures)
    guard = {
        "event": "guard",
        "decision": ending.decision,
        "published": ending.version is not None,
        "version": ending.version,
        "reason": ending.reason,
        "figures": figures,
    }
    done = {
        "event": "done",
        "epoch": epoch,
        "decision": ending.decision,
        "published": ending.version,
        "reason": ending.reason,
        "hold_out": {name: figures[name] for name in _HOLD_OUT if name in figures},
        "old_domain": {name: figures[name] for name in _OLD_DOMAIN if name in figures},
        "corrections": {
            name.removeprefix(_CORRECTIONS): value
            for name, value in figures.items()
            if name.startswith(_CORRECTIONS)
        },
        "seconds": seconds,
    }
    return guard, done
