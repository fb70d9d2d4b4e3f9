"""What a round or a run will take, told before it starts. Loads no torch."""

import math
import struct
from dataclasses import dataclass
from functools import lru_cache
from json import loads
from pathlib import Path

from napari_segmoe.errors import WeightsError
from napari_segmoe.models.card import WeightsCard, find_weights, read_card
from napari_segmoe.project.round_material import Material
from napari_segmoe.training.finetune.settings import STEPS, RoundPreset, RoundSettings

# CPU seconds and memory of rounds from `glands` on images of GlaS, one thread, 256 px
_SECONDS_A_SAMPLE = 0.35  # forward, backward and step of one sample
_SECONDS_TO_JUDGE = 0.12  # one object, before and after
_SECONDS_TO_START = 17.0
_GB_TO_START = 0.8
_COPIES = 6  # weights, average, base, gradient and two moments
_GB_A_SAMPLE = 0.09
_REFERENCE_PX = 256


@dataclass(frozen=True, slots=True)
class Estimate:
    """Time and memory of something that was not started yet.

    Attributes
    ----------
    seconds : float or None
        None: nothing is known to judge it by.
    memory_gb : float or None
    text, details : str
        In one line; and what it is judged by.
    """

    seconds: float | None
    memory_gb: float | None
    text: str
    details: str = ""


def estimate_round(
    material: Material | None,
    *,
    weights: str | None,
    preset: str | None,
    minutes: float,
    seconds_a_step: float | None = None,
) -> Estimate:
    """Estimate a learning round.

    Parameters
    ----------
    material : Material or None
        What it would learn from; None: not counted.
    weights : str or None
        What it starts from.
    preset : str or None
        Its size.
    minutes : float
        The longest it may take.
    seconds_a_step : float or None
        What a step took, with judging, in a round on this computer before.
    """
    settings = RoundSettings(preset=RoundPreset(preset or RoundPreset.NORMAL))
    size = _size_of(weights) if weights else None
    if size is None or material is None or not material.is_enough:
        return Estimate(None, None, f"At most {say_duration(minutes * 60)}.")
    parameters, input_px = size
    scale = (input_px / _REFERENCE_PX) ** 2
    steps = STEPS[settings.preset] * material.trainings
    seconds = _SECONDS_TO_START
    seconds += steps * settings.batch_size * _SECONDS_A_SAMPLE * scale
    seconds += material.accepted * _SECONDS_TO_JUDGE * (1 + material.trainings)
    if seconds_a_step is not None:
        seconds = steps * seconds_a_step
    memory = _GB_TO_START + parameters * 4 * _COPIES / 1e9
    memory += settings.batch_size * _GB_A_SAMPLE * scale
    told = say_duration(min(seconds, minutes * 60))
    return Estimate(
        seconds,
        memory,
        f"About {told} and {memory:.1f} GB, one thread in the background.",
        f"{material.trainings} x {STEPS[settings.preset]} steps of"
        f" {settings.batch_size} samples, and judging {material.accepted} objects.\n"
        f"It ends after {say_duration(minutes * 60)} at the latest, and waits while"
        " you click."
        + ("" if seconds_a_step is None else "\nThe pace is that of the last round."),
    )


def say_duration(seconds: float) -> str:
    """Return a duration in words, as "3 min"."""
    if seconds < 60:
        return f"{max(math.ceil(seconds / 10) * 10, 10)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _size_of(weights: str) -> tuple[int, int] | None:
    """Return parameters and input size of weights; None where they cannot be read."""
    try:
        path = find_weights(weights)
        return _read_size(path, path.stat().st_mtime)
    except (WeightsError, OSError):
        return None


@lru_cache(maxsize=32)
def _read_size(path: Path, _: float) -> tuple[int, int]:
    card: WeightsCard = read_card(path)
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = loads(file.read(length))
    shapes = (one["shape"] for name, one in header.items() if name != "__metadata__")
    return sum(math.prod(shape) for shape in shapes), card.input_px
