"""Words to a training process: files in its run folder. Loads no torch.

Who started a run and who trains are different processes, and either may end first; so
what one asks of the other stands in the run's folder:

``stop``
    The run ends after the epoch it is in. It can be resumed.
``pause``
    Touched again and again while somebody works in the window; the trainer waits while
    the file is younger than `PAUSE_S`, so that a window that died never holds it up.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

STOP = "stop"
PAUSE = "pause"
PAUSE_S = 2.0
LONGEST_PAUSE_S = 60.0  # at a stretch: somebody who clicks all day still gets a model
_LOOK_S = 0.1
_CLOCK_S = 1.0  # what the clocks of a process and of a file may differ by


class RunControl:
    """What is asked of the run in a folder.

    Parameters
    ----------
    folder : Path
        The run folder.
    sleep : callable
        Waits so many seconds.
    """

    def __init__(
        self, folder: Path, *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._folder = folder
        self._sleep = sleep
        self._began = psutil.Process(os.getpid()).create_time()

    @property
    def is_stop_asked(self) -> bool:
        """Whether the run should end after its epoch, or the round after its part.

        What was asked of an earlier process, which did not live to do it, is forgotten.
        """
        asked = self._touched(STOP)
        return asked is not None and asked >= self._began - _CLOCK_S

    @property
    def is_pause_asked(self) -> bool:
        """Whether somebody is working in the window just now."""
        touched = self._touched(PAUSE)
        # a clock elsewhere may be ahead
        return touched is not None and abs(time.time() - touched) < PAUSE_S

    def wait_while_paused(self) -> float:
        """Wait until nobody works in the window; return for how many seconds.

        The trainer asks before each step.
        """
        waited = 0.0
        while waited < LONGEST_PAUSE_S and self.is_pause_asked:
            self._sleep(_LOOK_S)
            waited += _LOOK_S
        return waited

    def ask_to_stop(self) -> None:
        """Ask the trainer to end after its epoch.

        Raises
        ------
        OSError
            If the folder cannot be written.
        """
        (self._folder / STOP).touch()

    def ask_to_pause(self) -> None:
        """Ask the trainer to wait a moment; a folder that is gone is not asked."""
        with suppress(OSError):
            (self._folder / PAUSE).touch()

    def forget_stop(self) -> None:
        """Take the wish to stop back: it is done, or a new process goes on."""
        with suppress(OSError):
            (self._folder / STOP).unlink(missing_ok=True)

    def _touched(self, name: str) -> float | None:
        """Return when a file was touched last; None where there is none."""
        try:
            return (self._folder / name).stat().st_mtime
        except OSError:
            return None
