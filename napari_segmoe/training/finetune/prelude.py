"""What a round knows before it trains: images, old answers, replay, consistency."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from napari_segmoe.errors import TrainingError
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.models.weights import load_weights
from napari_segmoe.training.finetune.anchors import make_anchors
from napari_segmoe.training.finetune.consistency import Consistency, check_consistency
from napari_segmoe.training.finetune.gathering import (
    Gathered,
    gather,
    tissue_views,
)
from napari_segmoe.training.finetune.looks import Look, fit_look
from napari_segmoe.training.finetune.losses import LossWeights, loss_weights
from napari_segmoe.training.finetune.network import Machine
from napari_segmoe.training.finetune.old_data import OldData, read_old_data
from napari_segmoe.training.finetune.pictures import Pictures
from napari_segmoe.training.finetune.probes import Probe, ProbeAnswer, ask_probes
from napari_segmoe.training.finetune.replay import KeptView, keep_answers, with_clicks
from napari_segmoe.training.finetune.settings import RoundSettings
from napari_segmoe.training.finetune.snapshot import Snapshot
from napari_segmoe.training.finetune.views import PartialSample, Sight, sight_of

_TISSUE, _ANCHORS = 24, 12  # views; a third of each is kept back to judge
_POOL = 96
_FRESH = 12  # made-up images that only judge
_SPECK = 0.02
_JUDGING = 3
_CLICKED = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """What a round is about.

    Attributes
    ----------
    project : Path
    start, root : Path
        Weights to start from, and those that the project began with: old images are
        theirs.
    snapshot : Snapshot
    warnings : tuple of str
    """

    project: Path
    start: Path
    root: Path
    snapshot: Snapshot
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Prelude:
    """What is known before a round trains.

    Attributes
    ----------
    start, root : nn.Module
        On the machine; never trained.
    card : WeightsCard
        Of the start.
    sight : Sight
    weights : LossWeights
    gathered : Gathered
    look : Look
        Under which the project's images look like old ones.
    kept, judging : sequences of KeptView
        Old answers to learn from, and to be judged by on the project's tissue.
    made_up : sequence of KeptView
        Old answers on made-up images, to be judged by; those that find something.
    old_data : OldData or None
        Real old images that judge, where there are any.
    answers : sequence of ProbeAnswer
        Of the start, one a probe.
    consistency : Consistency
    pool : sequence of PartialSample
        Views of unlabelled tissue for pseudo-labels; empty where they have no weight.
    """

    start: nn.Module
    root: nn.Module
    card: WeightsCard
    sight: Sight
    weights: LossWeights
    gathered: Gathered
    look: Look
    kept: Sequence[KeptView]
    judging: Sequence[KeptView]
    made_up: Sequence[KeptView]
    old_data: OldData | None
    answers: Sequence[ProbeAnswer]
    consistency: Consistency
    pool: Sequence[PartialSample] = ()

    @property
    def learns_classes(self) -> bool:
        """Whether accepted objects are of two of the weights' classes, or more."""
        known = {one.object_class for one in self.gathered.probes} - {-1}
        return len(known) > 1

    @property
    def units_learnt(self) -> frozenset[str]:
        """Units of this project that the start has learnt from already."""
        return frozenset(self.card.training.get("units_learnt", ()))

    @property
    def notes(self) -> tuple[str, ...]:
        """What is left out or not learnt."""
        notes = list(self.gathered.notes)
        known = {one.object_class for one in self.gathered.probes} - {-1}
        if len(known) == 1:
            name = self.card.object_classes[next(iter(known))]
            notes.append(
                f"All objects are {name}: one class alone cannot be told from others,"
                " so classes are not learnt."
            )
        return tuple(notes)


def prepare(plan: Plan, settings: RoundSettings, machine: Machine) -> Prelude:
    """Read images, ask the old networks, and look at the corrections.

    Raises
    ------
    TrainingError
        If no image with accepted objects can be read.
    """
    model, card = load_weights(plan.start)
    start = machine.place(model).requires_grad_(False)
    root = start
    if plan.root != plan.start:
        root = machine.place(load_weights(plan.root)[0]).requires_grad_(False)
    sight = sight_of(card)
    pictures = Pictures(plan.project)
    gathered = gather(
        plan.snapshot,
        pictures,
        card,
        sight,
        class_map=settings.class_map if settings.learn_classes else None,
        seed=settings.seed,
    )
    if not gathered.probes:
        reasons = " ".join(gathered.notes) or "All objects are too small to be seen."
        raise TrainingError(f"No accepted object can be learnt from. {reasons}")
    tissue = tissue_views(
        gathered,
        plan.snapshot,
        pictures,
        sight,
        count=_TISSUE,
        seed=settings.seed,
    )
    look = fit_look(root, [one.image for one in tissue], machine)
    answers = list(ask_probes(start, gathered.probes, machine))
    consistency = check_consistency(
        gathered.probes,
        _familiar_answers(root, start, gathered.probes, answers, look, machine),
    )
    old_data = read_old_data(settings, card, sight)
    pool: Sequence[PartialSample] = ()
    if settings.pseudo_weight:
        wanted = {"count": _POOL, "seed": settings.seed + 1}
        pool = [
            view
            for view in tissue_views(gathered, plan.snapshot, pictures, sight, **wanted)
            if (view.ids < 0).any()  # somewhere in it nothing is known
        ]
    kept, judging, made_up = _keep(
        root, tissue, look, old_data, card, settings, machine
    )
    return Prelude(
        start=start,
        root=root,
        card=card,
        sight=sight,
        weights=loss_weights(card.training),
        gathered=gathered,
        look=look,
        kept=kept,
        judging=judging,
        made_up=made_up,
        old_data=old_data,
        answers=answers,
        consistency=consistency,
        pool=pool,
    )


def _familiar_answers(
    root: nn.Module,
    start: nn.Module,
    probes: Sequence[Probe],
    answers: Sequence[ProbeAnswer],
    look: Look,
    machine: Machine,
) -> list[Sequence[ProbeAnswer]]:
    """Return old answers to the probes as they are and as they look familiar."""
    found: list[Sequence[ProbeAnswer]] = [answers]
    if root is not start:
        found.append(list(ask_probes(root, probes, machine)))
    if not look.is_plain:
        changed = [
            replace(one, image=_as_bytes(look(one.image.float() / 255)))
            for one in probes
        ]
        found.append(list(ask_probes(root, changed, machine)))
    return found


def _as_bytes(image: torch.Tensor) -> torch.Tensor:
    return (image * 255).round().clamp(0, 255).to(torch.uint8)


def _keep(
    root: nn.Module,
    tissue: Sequence[PartialSample],
    look: Look,
    old_data: OldData | None,
    card: WeightsCard,
    settings: RoundSettings,
    machine: Machine,
) -> tuple[list[KeptView], list[KeptView], list[KeptView]]:
    """Return old answers: to learn from, to judge by on tissue and made-up images."""
    samples = [replace(one, image=look(one.image)) for one in tissue]
    if old_data is not None:
        samples = [*samples[: len(samples) // 2], *old_data.lessons]
    nothing = np.full((card.input_px, card.input_px), -1, np.int32)
    made_up = [
        PartialSample(image, nothing)
        for image in make_anchors(card, _ANCHORS + _FRESH, seed=settings.seed)
    ]
    tissue_count = len(samples)
    samples += made_up[:_ANCHORS]
    views = keep_answers(root, samples, machine)
    judging = views[:tissue_count:_JUDGING]
    fresh = keep_answers(root, made_up[_ANCHORS:], machine)
    held = set(range(0, tissue_count, _JUDGING))
    kept = [one for n, one in enumerate(views) if n not in held]
    if getattr(root, "prompt_stem", None) is not None:
        rng = np.random.default_rng([settings.seed, 43])
        kept = keep_answers(root, with_clicks(kept, rng, share=_CLICKED), machine)
    return kept, judging, [one for one in fresh if _is_marked(one)]


def _is_marked(view: KeptView) -> bool:
    """Return whether the old network finds more in a made-up image than a speck."""
    return float((view.kept.heads.mask > 0).float().mean()) > _SPECK


def describe(prelude: Prelude, plan: Plan) -> Mapping[str, object]:
    """Return what the start event says of the material."""
    gathered = prelude.gathered
    return {
        "objects": sum(len(one.patch.objects) for one in gathered.patches),
        "images": len({one.patch.record.name for one in gathered.patches}),
        "mode": plan.snapshot.mode.value,
        "level": plan.snapshot.level.value,
        "classes": sorted(gathered.classes),
        "replay": len(prelude.kept),
        "replay_data": prelude.old_data is not None,
    }
