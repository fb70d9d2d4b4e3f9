"""Open slides named on standard input and say, a line of JSON each, what came of it.

Run in a process of its own: a decoder may crash it, hang, or fill memory.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from napari_segmoe.data.slides.opening import is_slide, open_slide
from napari_segmoe.data.slides.region import read_area
from napari_segmoe.errors import ImageReadError

_OVERVIEW_PX = 256
_BOX_PX = 300
_ADDRESS_SPACE = 16 << 30  # far above what is allowed: memory is measured, not cut


def _probe(path: Path) -> list[str]:
    """Return "pixels" or a sentence for everything that was tried."""
    is_slide(path)
    try:
        source = open_slide(path)
    except ImageReadError as error:
        return [_sentence(error)]
    outcomes = [_overview(source)]
    for number, level in enumerate(source.levels):
        (height, width), rng = level.shape, np.random.default_rng(number)
        corners = [(0, 0), (height - 200, width - 100)]
        corners.append((int(rng.integers(height)), int(rng.integers(width))))
        outcomes += [
            _attempt(lambda n=number, y=y, x=x: _box(source, n, y, x))
            for y, x in corners
        ]
    source.close()
    return outcomes


def _overview(source) -> str:
    height, width = source.levels[0].shape
    step = max(height, width) / _OVERVIEW_PX
    (down_y, down_x) = source.levels[-1].downsample_yx
    if step / max(down_y, down_x) > 40:  # one giant level: nobody reads it whole
        return "pixels"
    shape = (max(round(height / step), 1), max(round(width / step), 1))
    return _attempt(
        lambda: read_area(source, start_yx=(0, 0), step_yx=(step, step), shape=shape)
    )


def _box(source, level: int, y: int, x: int):
    pixels = source.read(level, (y, x, y + _BOX_PX, x + _BOX_PX))
    assert pixels.shape == (_BOX_PX, _BOX_PX, 3)
    assert pixels.dtype == np.uint8
    return pixels


def _attempt(read) -> str:
    try:
        read()
    except ImageReadError as error:
        return _sentence(error)
    return "pixels"


def _sentence(error: ImageReadError) -> str:
    text = str(error)
    assert text.strip(), "an empty message"
    assert "\n" not in text.strip(), f"more than one line: {text!r}"
    assert len(text) < 700, f"too long: {text!r}"
    assert "Traceback" not in text
    return text


def _peak_bytes() -> int:
    """Return this program's own peak: rusage would count that of its parent too."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    for line in sys.stdin:
        start = time.process_time()
        try:
            outcomes, failure = _probe(Path(line.rstrip("\n"))), ""
        except BaseException as error:  # noqa: BLE001 the finding that is looked for
            outcomes, failure = [], f"{type(error).__name__}: {error}"
        answer = {
            "outcomes": outcomes,
            "failure": failure,
            "seconds": time.process_time() - start,
            "peak_bytes": _peak_bytes(),
        }
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
