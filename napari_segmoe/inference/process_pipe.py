"""A process that answers pickled calls over pipes, one at a time. Loads no torch."""

import os
import pickle
import subprocess
import sys
import weakref
from typing import Any

from napari_segmoe.errors import DeviceError

_KILLED = -9
_PATIENCE_S = 5.0
_PIPE_BYTES = 2**20  # Linux; elsewhere the system's own


class ProcessPipe:
    """A Python module in a process of its own; it ends with this object.

    Parameters
    ----------
    module : str
        Reads (name, args, kwargs) from its standard input, and writes (whether it
        went well, value or error) to its standard output.

    Raises
    ------
    DeviceError
        If the process does not start.
    """

    def __init__(self, module: str) -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pipesize=_PIPE_BYTES,
                **_detached(),
            )
        except OSError as error:
            raise DeviceError(
                f"The model's process cannot be started ({error}). Check that"
                f" {sys.executable or 'Python'} can be run."
            ) from error
        weakref.finalize(self, _end, self._process)

    @property
    def process_id(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the answer to one call.

        Raises
        ------
        DeviceError, MemoryError
            If the process ended.
        """
        process = self._process
        if process.stdin is None or process.stdout is None or process.stdin.closed:
            raise self._why_it_ended()
        try:
            pickle.dump((name, args, kwargs), process.stdin, protocol=5)
            process.stdin.flush()
            went_well, value = pickle.load(process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise self._why_it_ended() from error
        if not went_well:
            raise value
        return value

    def end(self) -> None:
        """Let the process end by closing its input; kill it if it does not."""
        _end(self._process)

    def _why_it_ended(self) -> Exception:
        _end(self._process)
        if self._process.returncode == _KILLED:
            return MemoryError("The model's process was killed: out of memory.")
        return DeviceError(
            f"The model's process ended (status {self._process.returncode}). Ask again"
            " to start another; if it ends again, run `segmoe doctor`."
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None and not stream.closed:
            try:
                stream.close()
            except BrokenPipeError:
                continue  # it is gone already, with words unread
    try:
        process.wait(timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _detached() -> dict[str, Any]:
    """Return what keeps a terminal's Ctrl-C from the process, and its window away."""
    if os.name == "nt":
        return {"creationflags": getattr(subprocess, "CREATE_NO_WINDOW", 0)}
    return {"start_new_session": True}
