"""The words of `segmoe finetune`, and sentences about how runs end."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_segmoe.session.training_run import RunState, TrainingRun

if TYPE_CHECKING:
    from napari_segmoe.session.training_runs import RoundRequest

STARTING = "round-0000"  # a round that has not made its folder yet


def round_words(
    project: Path, request: "RoundRequest", *, resume: bool = False
) -> list[str]:
    """Return the words of `segmoe finetune` for a round on ``project``."""
    words = ["finetune", str(project), "--json", "--threads", "1"]
    if resume:
        return [*words, "--resume"]
    if request.weights is not None:
        words += ["--weights", request.weights]
    if request.minutes is not None:
        words += ["--minutes", f"{request.minutes:g}"]
    if request.preset is not None:
        words += ["--preset", request.preset]
    for name, value in request.settings.items():
        words += ["--set", f"{name}={value}"]
    return words


def say_end(run: TrainingRun) -> str:
    """Say in a sentence how a run ended that did not fail."""
    if run.state is RunState.STOPPED:
        return f"{run.name} stopped after epoch {run.history.epoch}. It can go on."
    if run.state is RunState.KILLED:
        return f"{run.name} was killed; it can go on from its last whole epoch."
    if run.is_round:
        return f"{run.name} is done. {say_guard(run)}".strip()
    best = run.history.best
    score = f": best score {best[1]:.3f}" if best else ""
    return f"{run.name} is done{score}."


def say_guard(run: TrainingRun) -> str:
    """Say what the guard of a round decided; nothing before it has."""
    decision = run.history.guard
    if decision is None:
        return ""
    return str(decision.get("reason") or decision.get("note") or _outcome(decision))


def _outcome(decision: dict[str, Any]) -> str:
    if decision.get("published") or decision.get("passed"):
        return "The guard published it."
    return "The guard kept the model before."
