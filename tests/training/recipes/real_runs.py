"""Runs of `segmoe train` in processes of their own, as users start them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.data.masks import read_mask
from napari_segmoe.training.config import load_config
from napari_segmoe.training.run_data import divide_items

Event = dict[str, Any]


def command(
    data: Path, out: Path, settings: Mapping[str, Any], *more: str
) -> list[str]:
    """Return the words of a training."""
    words = [
        word for key, value in settings.items() for word in ("--set", f"{key}={value}")
    ]
    train = [sys.executable, "-m", "napari_segmoe", "train", "--json"]
    return [*train, "--data", str(data), "--out", str(out), *words, *more]


def start(words: list[str]) -> subprocess.Popen[str]:
    """Start a training."""
    quiet = subprocess.DEVNULL
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=quiet, text=True)


def events_of(process: subprocess.Popen[str]) -> Iterator[Event]:
    """Yield what a training prints."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("{"):
            yield json.loads(line)


def epochs_of(events) -> dict[int, Event]:
    """Return the epochs of a training by number."""
    return {one["epoch"]: one for one in events if one["event"] == "epoch"}


def run(words: list[str]) -> list[Event]:
    """Train to the end."""
    process = start(words)
    events = list(events_of(process))
    assert process.wait() == 0
    return events


def kill_in(words: list[str], epoch: int) -> None:
    """Train, and kill -9 in the middle of an epoch."""
    process = start(words)
    for event in events_of(process):
        is_there = event["event"] == "progress" and event["epoch"] == epoch
        if is_there and event["step"] > event["steps"] // 2:
            os.kill(process.pid, signal.SIGKILL)
            break
    process.wait()
    process.stdout.close()


def trivial_dice(data: Path, out: Path) -> float:
    """Return the Dice of calling every validation pixel an object."""
    config = load_config(out / "config.yaml")
    _, validation = divide_items(read_data_folder(data), config)
    shares = [np.mean(read_mask(item.mask_path).labels > 0) for item in validation]
    return float(np.mean([2 * share / (1 + share) for share in shares]))
