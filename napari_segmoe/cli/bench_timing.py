"""Seconds of functions that are compared, measured in turns."""

import statistics
import time
from collections.abc import Callable, Sequence

import torch

_TURNS = 30
_WARM_UPS = 5


def time_in_turns(
    functions: Sequence[Callable[[], object]],
    device: torch.device,
    *,
    turns: int = _TURNS,
) -> list[float]:
    """Return the median seconds of each function, called in turns after a warm-up.

    Turns, so that other load hits all alike.
    """
    times: list[list[float]] = [[] for _ in functions]
    for turn in range(_WARM_UPS + turns):
        for function, kept in zip(functions, times, strict=True):
            began = time.perf_counter()
            function()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if turn >= _WARM_UPS:
                kept.append(time.perf_counter() - began)
    return [statistics.median(kept) for kept in times]
