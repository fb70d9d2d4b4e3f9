"""A round's process: it steps back, and computes on as many threads as it was given."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import torch


def step_back(nice: int) -> None:
    """Let everything else go first; never forward of where the process is already."""
    process = psutil.Process(os.getpid())
    with suppress(psutil.Error, OSError):
        if psutil.WINDOWS:
            process.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        elif nice > process.nice():
            process.nice(nice)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute on so many threads inside; 0: as torch sees fit."""
    before = torch.get_num_threads()
    if count:
        torch.set_num_threads(count)
    torch.set_flush_denormal(True)  # denormal activations halve the speed on CPUs
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)
