"""Run one command and turn what happens into an exit status.

0: done. 2: wrong use or bad input, with one clear sentence. 1: a bug, with the
place of its log file.
"""

import errno
import logging
import sys
import tempfile
import traceback
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from platformdirs import user_log_dir

from napari_segmoe.errors import SegmoeError

DONE, BUG, WRONG_USE = 0, 1, 2

_USERS_TO_MEND = {
    errno.ENOSPC: "Free some space there, or choose another folder.",
    errno.EDQUOT: "Free some space there, or choose another folder.",
    errno.EACCES: "Choose a folder or file that you may use.",
    errno.EPERM: "Choose a folder or file that you may use.",
    errno.EROFS: "Choose a folder that can be written to.",
    errno.ENOENT: "Check the path.",
    errno.ENOTDIR: "Check the path.",
    errno.EISDIR: "Check the path.",
}


def run(arguments: Sequence[str]) -> int:
    """Run one command.

    Parameters
    ----------
    arguments : sequence of str
        The command line without the program's name.

    Returns
    -------
    int
        Exit status.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    # what readers find wrong with a file is said in our own sentence
    for library in ("tifffile", "wsidicom", "pydicom"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    from napari_segmoe.cli.app import app

    try:
        with warnings.catch_warnings():
            warnings.showwarning = _tell_warning
            app(list(arguments), prog_name="segmoe")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else DONE
    except SegmoeError as error:
        return _explain(str(error))
    except OSError as error:
        if error.errno in _USERS_TO_MEND:
            place = f"{error.filename}: " if error.filename else ""
            reason = f"{place}{error.strerror}. {_USERS_TO_MEND[error.errno]}"
            return _explain(reason)
        return _report_bug(error)
    except Exception as error:  # noqa: BLE001  (the program's last line of defence)
        return _report_bug(error)
    return DONE


def _tell_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Tell our own warnings as a sentence, without the place in the code."""
    if category.__module__.startswith("napari_segmoe"):
        sys.stderr.write(f"segmoe: {message}\n")
        return
    found = warnings.formatwarning(message, category, filename, lineno, line)
    (file or sys.stderr).write(found)


def _explain(sentence: str) -> int:
    sys.stderr.write(f"segmoe: {' '.join(sentence.split())}\n")
    return WRONG_USE


def _report_bug(error: BaseException) -> int:
    report = "".join(traceback.format_exception(error))
    path = _write_log(report)
    sys.stderr.write(
        f"segmoe: this is a bug ({type(error).__name__}: {error}). "
        f"The details are in {path}; please attach that file to a report.\n"
    )
    return BUG


def _write_log(report: str) -> Path:
    name = f"segmoe-{datetime.now(UTC):%Y%m%dT%H%M%S}.log"
    for folder in (
        Path(user_log_dir("napari-segmoe", False)),
        Path(tempfile.gettempdir()),
    ):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(report, encoding="utf-8")
        except OSError:
            continue
        return folder / name
    sys.stderr.write(report)
    return Path("the lines above")
