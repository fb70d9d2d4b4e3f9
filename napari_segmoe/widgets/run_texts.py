"""Sentences of the Train tab about a run."""

from html import escape

from napari_segmoe.session.round_estimate import say_duration
from napari_segmoe.session.run_words import STARTING
from napari_segmoe.session.training_run import RunState, TrainingRun

_ENDS = {
    RunState.DONE: "done",
    RunState.STOPPED: "stopped after {part} {epoch}; it can go on",
    RunState.KILLED: "killed in {part} {next}; it can go on from where it was saved",
    RunState.ELSEWHERE: "trained on another computer",
}


def say_run_state(run: TrainingRun) -> str:
    """Return what a run is doing, as rich text."""
    name = "The round" if run.name == STARTING else run.name
    return f"<b>{escape(name)}</b>: {escape(_say(run))}"


def _say(run: TrainingRun) -> str:
    history = run.history
    if run.state is RunState.STARTING:
        return "starting…"
    if run.state.is_active:
        return _say_progress(run)
    if run.state in (RunState.FAILED, RunState.DIED):
        advice = " It can be resumed." if run.can_resume else ""
        how = "failed" if run.state is RunState.FAILED else "ended unexpectedly"
        return f"{how}. {run.reason}{advice}"
    words = _ENDS[run.state].format(
        part=_part(run), epoch=history.epoch, next=history.epoch + 1
    )
    return f"{words}."


def _say_progress(run: TrainingRun) -> str:
    history = run.history
    parts = [f"{_part(run)} {min(history.epoch + 1, max(history.epochs, 1))}"]
    if history.epochs:
        parts[0] += f" of {history.epochs}"
    if history.steps and history.step:
        parts.append(f"step {history.step} of {history.steps}")
    if run.state is RunState.STOPPING:
        parts.append("stops when it is done")
    else:
        left = history.seconds_left()
        if left is not None:
            parts.append(f"{say_duration(left)} left")
    return ", ".join(parts)


def _part(run: TrainingRun) -> str:
    """Return what a run is made of: a round trains once for each fold."""
    return "training" if run.is_round else "epoch"
