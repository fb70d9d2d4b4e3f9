"""How long importing the package takes, and that it brings no torch."""

import statistics
import subprocess
import sys

from napari_segmoe.cli.bench import Measurement

_PAIRS = 7
_BOUND = 3.0
_DOCK = "napari_segmoe.widgets.main_widget"


def measure_imports() -> list[Measurement]:
    """Compare imports in fresh processes, and look for torch in them.

    Returns
    -------
    list of Measurement
        The ratio to ``import numpy``, and whether torch was loaded by the package
        and by the dock (1 yes, 0 no).
    """
    ours, numpys = [], []
    for _ in range(_PAIRS):  # alternated, so that other load hits both alike
        numpys.append(_time_import("numpy"))
        ours.append(_time_import("napari_segmoe"))
    ratio = statistics.median(ours) / statistics.median(numpys)
    note = f"medians of {_PAIRS} fresh processes each, alternated"
    return [
        Measurement(
            "import napari_segmoe / import numpy", ratio, _BOUND, "ratio", note=note
        ),
        _torch_loaded("torch loaded by import napari_segmoe", "napari_segmoe"),
        _torch_loaded("torch loaded by the dock", _DOCK),
    ]


def _time_import(module: str) -> float:
    code = (
        "import time; began = time.perf_counter(); "
        f"import {module}; print(time.perf_counter() - began)"
    )
    return float(_run(code).stdout)


def _torch_loaded(name: str, module: str) -> Measurement:
    answer = _run(f"import sys, {module}; print(int('torch' in sys.modules))")
    if answer.returncode != 0:
        lines = answer.stderr.strip().splitlines() or ["no message"]
        return Measurement(name, None, 0, "count", note=lines[-1])
    return Measurement(name, float(answer.stdout), 0, "count")


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
