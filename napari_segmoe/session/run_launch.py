"""Start `segmoe train` and `segmoe finetune` as processes that outlive the window."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

from napari_segmoe.errors import RunFolderError
from napari_segmoe.training.run_process import ProcessMark, mark_of

# -P: a types.py in the folder that the window was started in is none of ours
COMMAND: tuple[str, ...] = (sys.executable, "-P", "-m", "napari_segmoe")
NICENESS = 10
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


class Launcher:
    """Starts trainers and reaps those of this window that have ended."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, words: Sequence[str], *, log: Path) -> ProcessMark:
        """Run ``segmoe WORDS`` in a process of its own: one thread, niced, detached.

        Parameters
        ----------
        words : sequence of str
            The command line after ``segmoe``.
        log : Path
            Takes what it says to people.

        Raises
        ------
        RunFolderError
            If the log cannot be written or the process does not start.
        """
        command = [*COMMAND, *words]
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as errors:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    **background_options(),
                )
        except OSError as error:
            raise RunFolderError(
                f"The training cannot be started: {error.strerror or error}. Check that"
                " there is room, and that the folder can be written."
            ) from error
        self._started.append(process)
        with suppress(psutil.Error):
            psutil.Process(process.pid).nice(_niceness())
        mark = mark_of(process.pid)
        if mark is None:
            raise RunFolderError("The training ended at once. Try `segmoe doctor`.")
        return mark

    def reap(self) -> None:
        """Take note of the trainers of this window that have ended."""
        self._started = [one for one in self._started if one.poll() is None]


def recipe_words(values: Mapping[str, Any], *, resume: bool = False) -> list[str]:
    """Return the words of `segmoe train` for settings by their names.

    Parameters
    ----------
    values : mapping
        ``out`` is the run folder; only settings that differ from the defaults need be
        there.
    resume : bool
        Whether to go on with the run in ``out``; its other settings are kept there.
    """
    if resume:
        return ["train", "--out", str(values["out"]), "--resume", "--json"]
    words = ["train", "--json", "--out", str(values["out"])]
    words += ["--data", str(values["data"])]
    for name, value in values.items():
        if name not in ("out", "data"):
            words += ["--set", f"{name}={as_yaml(value)}"]
    return words


def as_yaml(value: Any) -> str:
    """Return a value as ``--set KEY=VALUE`` takes it, on one line."""
    flow = yaml.safe_dump(value, default_flow_style=True, width=10**6)
    return flow.removesuffix("...\n").strip()


def background_options() -> dict[str, Any]:
    """Return options of `Popen` for a detached process with one thread."""
    environment = {**os.environ, **dict.fromkeys(_THREADS, "1")}
    return {"env": environment, **_detached()}


def _detached() -> dict[str, Any]:
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        return {"creationflags": flags}
    return {"start_new_session": True}


def _niceness() -> Any:
    return getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS", NICENESS)
