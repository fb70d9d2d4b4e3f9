"""The course of a round: trainings one after another, and the guard at its end."""

import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from napari_segmoe.errors import TrainingError
from napari_segmoe.project.hold_out import HoldOutMode
from napari_segmoe.training.finetune.gathering import corrections, hardness_of
from napari_segmoe.training.finetune.guard import (
    LEAST_PLACES,
    Comparison,
    Decision,
    Verdict,
    agreement_loss,
    decide,
)
from napari_segmoe.training.finetune.network import Machine, choose_machine
from napari_segmoe.training.finetune.new_card import card_of
from napari_segmoe.training.finetune.old_data import old_dice
from napari_segmoe.training.finetune.prelude import Plan, Prelude, describe, prepare
from napari_segmoe.training.finetune.probes import (
    PlaceScores,
    ask_probes,
    mean_scores,
    score_places,
)
from napari_segmoe.training.finetune.pseudo_labels import is_trusted, make_teaching
from napari_segmoe.training.finetune.publishing import settle
from napari_segmoe.training.finetune.settings import RoundSettings
from napari_segmoe.training.finetune.stepping import Lessons, RoundTrainer
from napari_segmoe.training.finetune.told import keep_told
from napari_segmoe.training.memory import is_out_of_memory, release_memory
from napari_segmoe.training.run_control import RunControl
from napari_segmoe.training.run_folder import RunFolder
from napari_segmoe.types import Modality

_FEWEST = 2
Event = dict[str, Any]
Scores = dict[str, PlaceScores]

__all__ = ["Course", "Plan"]


@dataclass(frozen=True, slots=True)
class _Part:
    """One training: which fold it leaves out, and whether it may be published."""

    number: int
    held: int | None
    is_final: bool


class Course:
    """Runs the parts of a round; its state is in the run folder after every few steps.

    Parameters
    ----------
    plan : Plan
    settings : RoundSettings
    folder : RunFolder
        Its state, if it has one, is gone on from.
    """

    def __init__(self, plan: Plan, settings: RoundSettings, folder: RunFolder) -> None:
        self.plan, self.settings, self.folder = plan, settings, folder
        self.control = RunControl(folder.path)
        self.parts = _parts(plan)
        self.machine: Machine = choose_machine(settings.device, settings.precision)
        state = folder.load_state() or {}
        self.part: int = state.get("part", 0)
        self.scores: dict[int, Scores] = {
            int(fold): {place: PlaceScores(**one) for place, one in found.items()}
            for fold, found in state.get("scores", {}).items()
        }
        self.spent: float = state.get("spent", 0.0)
        self.batch: int = state.get("batch", settings.batch_size)
        self._training: dict[str, Any] | None = state.get("training")
        self._final: dict[str, Any] | None = state.get("final")
        self._events: int = state.get("events", 0)
        self._paused = 0.0
        self._began = time.monotonic()

    def events(self, ended: tuple[str, int | None] | None) -> Iterator[Event]:
        """Yield what happens until the guard has decided, or the round was stopped.

        Parameters
        ----------
        ended : (str, int or None) or None
            How the round ended already, as the project knows it.
        """
        self._forget_unsaved()
        if ended is not None:
            yield {"event": "done", "epoch": len(self.parts), "decision": ended[0],
                   "published": ended[1]}  # fmt: skip
            return
        prelude = prepare(self.plan, self.settings, self.machine)
        yield self._start(prelude)
        yield from _prelude_events(prelude)
        if prelude.consistency.reasons:
            yield from self._end(prelude, _refused(prelude), None)
            return
        final = self._candidate(prelude)
        for part in self.parts[self.part :]:
            final = yield from self._train(part, prelude)
            if part.is_final:
                break
            if self.control.is_stop_asked:
                self.control.forget_stop()
                yield {"event": "stopped", "epoch": self.part}
                return
            verdict = self._hopeless(prelude)
            if verdict is not None:
                yield from self._end(prelude, verdict, None)
                return
        assert final is not None, "the last part leaves a network"
        yield from self._end(prelude, self._judge(prelude, final), final)

    def _start(self, prelude: Prelude) -> Event:
        return {
            "event": "start",
            "epoch": self.part,
            "epochs": len(self.parts),
            "steps": self.settings.training_steps,
            "round": self.folder.path.name,
            "weights": prelude.card.name,
            "device": str(self.machine.device),
            "notes": [*self.plan.warnings, *prelude.notes],
            **describe(prelude, self.plan),
        }

    def _forget_unsaved(self) -> None:
        """Drop what was told after the last saved state: it will be told again."""
        events = self.folder.read_events()
        if events:
            keep_told(self.folder, self._events)

    # -- training ---------------------------------------------------------------

    def _train(
        self, part: _Part, prelude: Prelude
    ) -> Generator[Event, None, nn.Module]:
        began = time.perf_counter()
        trainer = self._trainer(part, prelude)
        sums: dict[str, float] = {}
        best = _Best(self.settings.patience)
        if self._training is not None and self._training["part"] == part.number:
            best.load_state_dict(self._training["best"])
        first = trainer.step
        deadline = self._time_of(part)
        while trainer.step < self.settings.training_steps and not best.is_stale:
            self._paused += self.control.wait_while_paused()
            if self._elapsed() > deadline and trainer.step:
                break
            losses, note = self._take(trainer)
            if note:
                yield {"event": "memory", "epoch": part.number, "note": note}
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value
            yield {
                "event": "progress",
                "epoch": part.number,
                "step": trainer.step,
                "steps": self.settings.training_steps,
                "loss": losses["loss"],
            }
            if trainer.step % self.settings.validate_every == 0:
                yield from self._looks(part, trainer, prelude, best)
                self._save(trainer, best)
        taken = max(trainer.step - first, 1)
        model = trainer.average.average
        best.restore(model)
        event: Event = {
            "event": "epoch",
            "epoch": part.number,
            "stage": "final" if part.is_final else f"fold {part.held}",
            "train": {name: value / taken for name, value in sums.items()},
            "learning_rate": self.settings.learning_rate,
            "seconds": round(time.perf_counter() - began, 2),
        }
        if part.held is not None:
            self.scores[part.held] = self._score(part.held, model, prelude)
            if self.scores[part.held]:
                event["validation"] = mean_scores(self.scores[part.held])
        self.part = part.number + 1
        self._training = None
        self._final = model.state_dict() if part.is_final else None
        yield event
        self._save(None, best)
        return model

    def _trainer(self, part: _Part, prelude: Prelude) -> RoundTrainer:
        hardness = hardness_of(prelude.gathered.probes, prelude.answers)
        learnt = corrections(prelude.gathered, part.held, hardness=hardness)
        if not learnt:
            raise TrainingError(
                "Nothing is left to learn from without the held-out objects. Accept"
                " more objects in other images."
            )
        lessons = Lessons(
            learnt,
            prelude.kept,
            prelude.sight,
            prelude.weights,
            prelude.learns_classes,
            turns=prelude.card.modality is Modality.HISTOLOGY,
        )
        trainer = RoundTrainer(
            prelude.start, lessons, self.settings, self.machine, part=part.number
        )
        trainer.batch_size = self.batch
        trainer.pseudo = make_teaching(
            prelude.pool, self.settings, prelude.weights, prelude.sight, self.machine
        )
        if self._training is not None and self._training["part"] == part.number:
            trainer.load_state_dict(self._training)
        return trainer

    def _take(self, trainer: RoundTrainer) -> tuple[dict[str, float], str]:
        """Take a step, of fewer samples where memory runs out; say so."""
        note = ""
        while True:
            try:
                return trainer.take(), note
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or trainer.batch_size <= _FEWEST:
                    raise
            # outside the handler: its traceback holds the tensors of the failed step
            trainer.optimizer.zero_grad()
            release_memory(self.machine.device)
            trainer.batch_size = self.batch = max(trainer.batch_size // 2, _FEWEST)
            note = f"Memory ran out; steps now take {self.batch} samples."

    def _validates(self, part: _Part) -> bool:
        return self.plan.snapshot.mode is HoldOutMode.QUARANTINE and part.is_final

    def _looks(
        self, part: _Part, trainer: RoundTrainer, prelude: Prelude, best: "_Best"
    ) -> Iterator[Event]:
        if self._validates(part):
            yield self._look(part, trainer, prelude, best)
        if trainer.pseudo is not None:
            yield self._trust(part, trainer, prelude)

    def _look(
        self, part: _Part, trainer: RoundTrainer, prelude: Prelude, best: "_Best"
    ) -> Event:
        assert part.held is not None, "a quarantine is held out"
        figures = mean_scores(self._score(part.held, trainer.average.average, prelude))
        is_best = best.take(figures["dice"], trainer.average.average)
        return {
            "event": "validation",
            "epoch": part.number,
            "step": trainer.step,
            "validation": figures,
            "is_best": is_best,
        }

    def _trust(self, part: _Part, trainer: RoundTrainer, prelude: Prelude) -> Event:
        """Let the running average teach as soon as it has passed the hold-out."""
        assert trainer.pseudo is not None
        if not trainer.pseudo.is_on:
            new, fold = dict[str, PlaceScores](), part.held
            if fold is not None:
                new = self._score(fold, trainer.average.average, prelude)
            else:  # nothing is held out: what the folds found holds
                for found in self.scores.values():
                    new |= found
            old = score_places(prelude.gathered.probes, prelude.answers)
            if is_trusted(old, new):
                trainer.pseudo.switch_on(trainer.step)
        return {
            "event": "pseudo_labels",
            "epoch": part.number,
            "step": trainer.step,
            "is_on": trainer.pseudo.is_on,
            **trainer.pseudo.figures,
        }

    def _score(self, fold: int, model: nn.Module, prelude: Prelude) -> Scores:
        probes = [one for one in prelude.gathered.probes if one.fold == fold]
        return score_places(probes, list(ask_probes(model, probes, self.machine)))

    def _save(self, trainer: RoundTrainer | None, best: "_Best") -> None:
        self._events = len(self.folder.read_events())
        self.folder.save_state(
            {
                "part": self.part,
                "scores": {
                    str(fold): {place: asdict(one) for place, one in found.items()}
                    for fold, found in self.scores.items()
                },
                "spent": self._elapsed(),
                "batch": self.batch,
                "events": self._events,
                "training": None
                if trainer is None
                else trainer.state_dict() | {"best": best.state_dict()},
                "final": self._final,
            }
        )

    def _elapsed(self) -> float:
        """Return the seconds that the round has worked, pauses left out."""
        return self.spent + time.monotonic() - self._began - self._paused

    def _time_of(self, part: _Part) -> float:
        return self.settings.minutes * 60 * (part.number + 1) / len(self.parts)

    # -- judging ----------------------------------------------------------------

    def _candidate(self, prelude: Prelude) -> nn.Module | None:
        """Return the network of a round that was killed after its last training."""
        if self._final is None:
            return None
        model = self.machine.place(prelude.start)
        model.load_state_dict(self._final)
        return model

    def _compared(self, prelude: Prelude) -> Comparison:
        new: Scores = {}
        for found in self.scores.values():
            new |= found
        pairs = [
            (probe, said)
            for probe, said in zip(
                prelude.gathered.probes, prelude.answers, strict=True
            )
            if probe.fold in self.scores
        ]
        unseen = [one for one in pairs if one[0].unit not in prelude.units_learnt]
        if len({one.place for one, _ in unseen}) >= LEAST_PLACES:
            pairs = unseen  # the start has learnt from the others
        old = score_places([one for one, _ in pairs], [said for _, said in pairs])
        unit_of = {probe.place: probe.unit for probe, _ in pairs}
        return Comparison(old, new, unit_of)

    def _hopeless(self, prelude: Prelude) -> Verdict | None:
        """Return the verdict where all folds are known and none can be published."""
        if any(
            part.held not in self.scores for part in self.parts if not part.is_final
        ):
            return None
        verdict = decide(
            self._compared(prelude),
            old_domain_loss=0.0,
            learns_classes=prelude.learns_classes,
            settings=self.settings,
        )
        if verdict.decision is Decision.PUBLISH:
            return None
        figures = {
            name: value
            for name, value in verdict.figures.items()
            if name != "old_domain_loss"
        }
        return Verdict(verdict.decision, verdict.reason, figures)

    def _judge(self, prelude: Prelude, model: nn.Module) -> Verdict:
        loss = agreement_loss(model, prelude.judging, self.machine)
        found = {"agreement_loss": loss}
        if prelude.old_data is not None:
            views = prelude.old_data.judging
            found["old_domain_old_dice"] = old_dice(prelude.root, views, self.machine)
            found["old_domain_dice"] = old_dice(model, views, self.machine)
            loss = found["old_domain_old_dice"] - found["old_domain_dice"]
        verdict = decide(
            self._compared(prelude),
            old_domain_loss=loss,
            learns_classes=prelude.learns_classes,
            settings=self.settings,
        )
        return Verdict(verdict.decision, verdict.reason, {**verdict.figures, **found})

    def _end(
        self, prelude: Prelude, verdict: Verdict, model: nn.Module | None
    ) -> Iterator[Event]:
        figures = {
            **verdict.figures,
            **{f"corrections_{k}": v for k, v in prelude.consistency.figures().items()},
        }
        verdict = Verdict(verdict.decision, verdict.reason, figures)
        card = card_of(prelude, self.plan, self.folder.path.name, figures)
        published = verdict.decision is Decision.PUBLISH
        if model is not None:
            self.folder.save_weights("best", model, card)
        version = settle(
            self.plan.project,
            self.folder.path.name,
            verdict,
            candidate=model,
            card=card,
            start=self.plan.start,
            details={
                "mode": self.plan.snapshot.mode.value,
                "level": self.plan.snapshot.level.value,
                "weights": prelude.card.name,
            },
        )
        yield {
            "event": "guard",
            "decision": verdict.decision.value,
            "published": published,
            "version": version,
            "reason": verdict.reason,
            "figures": figures,
        }
        done: Event = {
            "event": "done",
            "epoch": self.part,
            "decision": verdict.decision.value,
            "published": version,
            "reason": verdict.reason,
            "hold_out": _part_of(figures, _HOLD_OUT),
            "old_domain": _part_of(figures, _OLD_DOMAIN),
            "corrections": prelude.consistency.figures(),
            "seconds": round(self._elapsed(), 1),
        }
        self.folder.save_metrics(done)
        yield done


_HOLD_OUT = (
    "images", "objects", "old_dice", "old_dice_low", "old_dice_high", "dice",
    "dice_low", "dice_high", "gain", "worse_chance", "old_click_iou", "click_iou",
    "click_gain", "old_accuracy", "accuracy", "accuracy_gain",
)  # fmt: skip
_OLD_DOMAIN = (
    "old_domain_loss", "agreement_loss", "old_domain_old_dice", "old_domain_dice",
)  # fmt: skip


def _part_of(figures: Mapping[str, float], names: tuple[str, ...]) -> dict[str, float]:
    return {name: figures[name] for name in names if name in figures}


def _parts(plan: Plan) -> tuple[_Part, ...]:
    if plan.snapshot.mode is HoldOutMode.QUARANTINE:
        return (_Part(0, 0, True),)
    folds = plan.snapshot.folds
    parts = [_Part(number, fold, False) for number, fold in enumerate(folds)]
    return (*parts, _Part(len(folds), None, True))


def _prelude_events(prelude: Prelude) -> Iterator[Event]:
    yield {
        "event": "look",
        "score_before": prelude.look.before,
        "score_after": prelude.look.after,
        "is_changed": not prelude.look.is_plain,
    }
    yield {
        "event": "consistency",
        **prelude.consistency.figures(),
        "reasons": list(prelude.consistency.reasons),
    }


def _refused(prelude: Prelude) -> Verdict:
    return Verdict(Decision.ROLLBACK, " ".join(prelude.consistency.reasons), {})


class _Best:
    """The best of a training's looks at the hold-out."""

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._score = -1.0
        self._state: dict[str, torch.Tensor] | None = None
        self._since = 0

    @property
    def is_stale(self) -> bool:
        """Whether so many looks brought no gain that training ends."""
        return self._since >= self._patience

    def state_dict(self) -> dict[str, Any]:
        """Return what resuming needs."""
        return {"score": self._score, "since": self._since, "state": self._state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take what `state_dict` returned."""
        self._score, self._since = state["score"], state["since"]
        self._state = state["state"]

    def take(self, score: float, model: nn.Module) -> bool:
        """Keep a network that is better than all before."""
        if score <= self._score:
            self._since += 1
            return False
        self._score, self._since = score, 0
        self._state = {
            name: value.detach().clone() for name, value in model.state_dict().items()
        }
        return True

    def restore(self, model: nn.Module) -> None:
        """Give a network the best tensors; without a look it stays as it is."""
        if self._state is not None:
            model.load_state_dict(self._state)
