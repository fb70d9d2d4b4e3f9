"""The words of `segmoe finetune`, and sentences about how runs end."""

from pathlib import Path
from typing import TYPE_CHECKING

from napari_segmoe.session.run_launch import as_yaml
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
        words += ["--set", f"{name}={as_yaml(value)}"]
    return words


def say_end(run: TrainingRun) -> str:
    """Say in a sentence how a run ended that did not fail."""
    if run.state is RunState.STOPPED:
        part = "training" if run.is_round else "epoch"
        return f"{run.name} stopped after {part} {run.history.epoch}. It can go on."
    if run.state is RunState.KILLED:
        return f"{run.name} was killed. It can go on from where it was saved last."
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
    version = decision.get("version")
    if decision.get("decision") == "publish" and version is not None:
        outcome = f"Published as version {version}."
    else:
        outcome = "Not published: the model before stays in use."
    return f"{outcome} {decision.get('reason', '')}".strip()
