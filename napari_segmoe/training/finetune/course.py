"""The course of a round: trainings one after another, and the guard at its end."""

import time
from collections.abc import Generator, Iterator
from dataclasses import asdict
from typing import Any

from torch import nn

from napari_segmoe.errors import TrainingError
from napari_segmoe.project.hold_out import HoldOutMode
from napari_segmoe.training.finetune.gathering import corrections, hardness_of
from napari_segmoe.training.finetune.guard import Verdict
from napari_segmoe.training.finetune.judging import (
    Ending,
    Scores,
    hopeless,
    judge,
    refuse,
    tell_ending,
)
from napari_segmoe.training.finetune.looks import domain_drift
from napari_segmoe.training.finetune.network import Machine, choose_machine
from napari_segmoe.training.finetune.new_card import card_of
from napari_segmoe.training.finetune.parts import Best, Part, parts_of
from napari_segmoe.training.finetune.prelude import Plan, Prelude, describe, prepare
from napari_segmoe.training.finetune.probes import (
    PlaceScores,
    ask_probes,
    mean_scores,
    score_places,
)
from napari_segmoe.training.finetune.pseudo_labels import (
    PseudoTeaching,
    is_trusted,
    make_teaching,
)
from napari_segmoe.training.finetune.publishing import settle
from napari_segmoe.training.finetune.round_report import show_round_answers
from napari_segmoe.training.finetune.settings import RoundSettings
from napari_segmoe.training.finetune.stepping import Lessons, RoundTrainer
from napari_segmoe.training.finetune.taught_views import (
    read_taught,
    taught_state,
    write_taught,
)
from napari_segmoe.training.finetune.told import keep_told
from napari_segmoe.training.memory import is_out_of_memory, release_memory
from napari_segmoe.training.run_control import RunControl
from napari_segmoe.training.run_folder import RunFolder
from napari_segmoe.types import Modality

_FEWEST = 2
Event = dict[str, Any]

__all__ = ["Course", "Plan"]


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
        self.parts = parts_of(plan.snapshot)
        self.machine: Machine = choose_machine(settings.device, settings.precision)
        state = folder.load_state() or {}
        self.part: int = state.get("part", 0)
        self.scores: dict[int, Scores] = {
            int(fold): {place: PlaceScores(**one) for place, one in found.items()}
            for fold, found in state.get("scores", {}).items()
        }
        self.spent: float = state.get("spent", 0.0)
        self.batch: int = state.get("batch", settings.batch_size)
        self.taught = read_taught(state.get("taught", {}))
        self._training: dict[str, Any] | None = state.get("training")
        self._final: dict[str, Any] | None = state.get("final")
        self._events: int = state.get("events", 0)
        self._paused = 0.0
        self._began = time.monotonic()

    def events(self, ended: Ending | None) -> Iterator[Event]:
        """Yield what happens until the guard has decided, or the round was stopped.

        Parameters
        ----------
        ended : Ending or None
            How the round ended already, as the project knows it.
        """
        self._forget_unsaved()
        if ended is not None:
            yield from self._tell(ended)
            return
        prelude = prepare(self.plan, self.settings, self.machine)
        yield self._start(prelude)
        yield from _prelude_events(prelude)
        if prelude.consistency.reasons:
            yield from self._end(prelude, refuse(prelude), None)
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
            if len(self.scores) < len(self.parts) - 1:
                continue
            verdict = hopeless(prelude, self.scores, final, self.settings, self.machine)
            if verdict is not None:
                yield from self._end(prelude, verdict, None)
                return
        assert final is not None, "the last part leaves a network"
        verdict = judge(prelude, self.scores, final, self.settings, self.machine)
        yield from self._end(prelude, verdict, final)

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

    def _train(self, part: Part, prelude: Prelude) -> Generator[Event, None, nn.Module]:
        began = time.perf_counter()
        trainer = self._trainer(part, prelude)
        sums: dict[str, float] = {}
        best = Best(self.settings.patience)
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
        if trainer.pseudo is not None:
            yield self._keep_taught(part, trainer.pseudo)
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

    def _trainer(self, part: Part, prelude: Prelude) -> RoundTrainer:
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

    def _validates(self, part: Part) -> bool:
        return self.plan.snapshot.mode is HoldOutMode.QUARANTINE and part.is_final

    def _looks(
        self, part: Part, trainer: RoundTrainer, prelude: Prelude, best: Best
    ) -> Iterator[Event]:
        if self._validates(part):
            yield self._look(part, trainer, prelude, best)
        if trainer.pseudo is not None:
            yield self._trust(part, trainer, prelude)

    def _look(
        self, part: Part, trainer: RoundTrainer, prelude: Prelude, best: Best
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

    def _trust(self, part: Part, trainer: RoundTrainer, prelude: Prelude) -> Event:
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

    def _keep_taught(self, part: Part, pseudo: PseudoTeaching) -> Event:
        """Write what was learnt from as if it were true: the user may judge it."""
        self.taught |= pseudo.taught
        figures = write_taught(self.folder.path, pseudo.views, self.taught)
        return {"event": "pseudo_labels_kept", "epoch": part.number, **figures}

    def _score(self, fold: int, model: nn.Module, prelude: Prelude) -> Scores:
        probes = [one for one in prelude.gathered.probes if one.fold == fold]
        return score_places(probes, list(ask_probes(model, probes, self.machine)))

    def _save(self, trainer: RoundTrainer | None, best: Best) -> None:
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
                "taught": taught_state(self.taught),
                "training": None
                if trainer is None
                else trainer.state_dict() | {"best": best.state_dict()},
                "final": self._final,
            }
        )

    def _elapsed(self) -> float:
        """Return the seconds that the round has worked, pauses left out."""
        return self.spent + time.monotonic() - self._began - self._paused

    def _time_of(self, part: Part) -> float:
        return self.settings.minutes * 60 * (part.number + 1) / len(self.parts)

    # -- judging ----------------------------------------------------------------

    def _candidate(self, prelude: Prelude) -> nn.Module | None:
        """Return the network of a round that was killed after its last training."""
        if self._final is None:
            return None
        model = self.machine.place(prelude.start)
        model.load_state_dict(self._final)
        return model

    def _end(
        self, prelude: Prelude, verdict: Verdict, model: nn.Module | None
    ) -> Iterator[Event]:
        """Publish or roll back, and tell of it."""
        consistency = prelude.consistency.figures()
        figures = {
            **verdict.figures,
            **{f"corrections_{name}": value for name, value in consistency.items()},
        }
        verdict = Verdict(verdict.decision, verdict.reason, figures)
        name, drift = self.folder.path.name, 1.0
        if model is not None:
            judging = (*prelude.judging, *prelude.made_up)
            old = [one.sample.image for one in judging]
            drift = domain_drift(model, prelude.start, old, self.machine)
        card = card_of(prelude, self.plan, name, figures, drift=drift)
        if model is not None:
            self.folder.save_weights("best", model, card)
            seen = prelude.gathered.probes
            show_round_answers(self.folder, model, seen, prelude.answers, self.machine)
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
        yield from self._tell(
            Ending(verdict.decision.value, version, verdict.reason, figures)
        )

    def _tell(self, ending: Ending) -> Iterator[Event]:
        guard, done = tell_ending(
            ending, epoch=len(self.parts), seconds=round(self._elapsed(), 1)
        )
        yield guard
        self.folder.save_metrics(done)
        yield done


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
