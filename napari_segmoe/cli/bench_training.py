"""What the training loop costs beside its network, measured by a child process."""

import sys
from typing import Any

from napari_segmoe.cli.bench import Measurement
from napari_segmoe.cli.bench_child import ask_child

_MODULE = "napari_segmoe.cli.training_ratios"
_SECONDS = 900
_QUICK = ("--input-px", "64", "--epochs", "4")
_STEP = ("training step / bare forward, backward and step on the same tensors", 1.10)
_PIPELINE = ("training: step / drawing its samples", 2.0)
_MEMORY = ("training: memory after the last epochs / after the first", 1.05)


def measure_training(
    device: str, threads: int | None, *, is_quick: bool = False
) -> list[Measurement]:
    """Compare a run's steps, samples and memory with what is promised of them.

    Parameters
    ----------
    device : str
        auto, cpu, cuda:N or mps.
    threads : int, optional
        CPU threads.
    is_quick : bool
        Small images and few epochs: for tests, not for figures.

    Returns
    -------
    list of Measurement
        Of one fresh process, in which what is compared runs in turns; without value
        where it failed, and the note says why.
    """
    command = [sys.executable, "-m", _MODULE, "--device", device]
    command += [] if threads is None else ["--threads", str(threads)]
    command += _QUICK if is_quick else ()
    found = ask_child(command, seconds=_SECONDS)
    if "reason" in found:
        return _nothing(found["reason"])
    return _measurements(found)


def _measurements(found: dict[str, Any]) -> list[Measurement]:
    how = (
        f"{found['model']}, {found['batch']} x {found['input_px']} px,"
        f" {found['precision']}"
    )
    step, bare, draw = (1e3 * found[f"{name}_s"] for name in ("step", "bare", "draw"))
    early, late = found["early_mib"], found["late_mib"]
    return [
        Measurement(
            _STEP[0],
            step / bare,
            _STEP[1],
            "ratio",
            note=f"{how}: {step:.0f} and {bare:.0f} ms",
        ),
        Measurement(
            _PIPELINE[0],
            step / draw,
            _PIPELINE[1],
            "ratio",
            at_least=True,
            note=f"{step:.0f} and {draw:.0f} ms, both in one process",
        ),
        Measurement(
            _MEMORY[0],
            late / early,
            _MEMORY[1],
            "ratio",
            note=f"{late:.0f} MiB after {found['epochs']} epochs, at most"
            f" {early:.0f} MiB in the first {found['settled']}",
        ),
    ]


def _nothing(reason: str) -> list[Measurement]:
    return [
        Measurement(_STEP[0], None, _STEP[1], "ratio", note=reason),
        Measurement(_PIPELINE[0], None, _PIPELINE[1], "ratio", True, reason),
        Measurement(_MEMORY[0], None, _MEMORY[1], "ratio", note=reason),
    ]
