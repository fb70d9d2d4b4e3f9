"""Score weights on a data folder in a process of its own, and follow it."""

import json
import subprocess
import tempfile
import threading
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from napari_segmoe.errors import JobError
from napari_segmoe.session.run_launch import COMMAND, background_options
from napari_segmoe.session.training_run import last_words

PROGRESS = "progress "


@dataclass(frozen=True, slots=True)
class FolderQuestion:
    """Which weights to score on what.

    Attributes
    ----------
    data : Path
        Data folder.
    split : str
        Names of its splits, separated by commas.
    weights : str
        A name or a file.
    against : str or None
        Other weights, to compare with image by image.
    device : str
    """

    data: Path
    split: str
    weights: str
    against: str | None = None
    device: str = "auto"

    def words(self, out: Path) -> list[str]:
        """Return the words of `segmoe evaluate`."""
        words = ["evaluate", "--data", str(self.data), "--split", self.split]
        words += ["--weights", self.weights, "--device", self.device]
        words += ["--per-image", "--no-routing", "--progress-lines"]
        words += ["--threads", "1", "--out", str(out)]
        return words + (["--against", self.against] if self.against else [])


class FolderScoring:
    """One evaluation; `cancel` ends it at once from any thread.

    Parameters
    ----------
    question : FolderQuestion
    """

    def __init__(self, question: FolderQuestion) -> None:
        self.question = question
        self._process: subprocess.Popen[str] | None = None
        self._is_cancelled = threading.Event()

    def cancel(self) -> None:
        """End the process."""
        self._is_cancelled.set()
        if self._process is not None:
            with suppress(OSError):
                self._process.kill()

    def steps(self) -> Generator[tuple[int, int], None, dict[str, Any]]:
        """Yield images done, of so many; return the report.

        Raises
        ------
        JobError
            With the sentence that `segmoe evaluate` ended with.
        """
        with tempfile.TemporaryDirectory(prefix="segmoe-evaluate-") as place:
            folder = Path(place)
            out, log = folder / "report.json", folder / "stderr.log"
            process = self._start(out)
            try:
                assert process.stderr is not None, "it is a pipe"
                yield from self._follow(process.stderr, log)
                process.wait()
            finally:
                self.cancel()
                process.wait()
            if process.returncode != 0 or not out.is_file():
                raise JobError(last_words(log))
            report: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
            return report

    def _follow(
        self, stream: IO[str], log: Path
    ) -> Generator[tuple[int, int], None, None]:
        """Yield progress; keep whatever else is said."""
        passes, before = 0, 0
        with log.open("w", encoding="utf-8") as kept:
            for line in stream:
                if not line.startswith(PROGRESS):
                    kept.write(line)
                    continue
                done, total = (int(one) for one in line.split()[1:])
                passes += done <= before  # the other weights' turn
                before = done
                weights = 2 if self.question.against else 1
                yield passes * total + done, weights * total

    def _start(self, out: Path) -> "subprocess.Popen[str]":
        try:
            self._process = subprocess.Popen(
                [*COMMAND, *self.question.words(out)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                errors="replace",
                **background_options(),
            )
        except OSError as error:
            raise JobError(f"The evaluation cannot be started: {error}.") from error
        if self._is_cancelled.is_set():
            self.cancel()
        return self._process
