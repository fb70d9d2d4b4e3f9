"""What a network costs: parameters, multiply-adds, seconds."""

import json
import logging
import os
import platform
import statistics
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_dir
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    FakeTensorMode,
)
from torch.utils.flop_counter import FlopCounterMode

from napari_segmoe.models.registry import create_model

logger = logging.getLogger(__name__)

SIDE_PX = 256
_TIMED_RUNS = 3


@dataclass(frozen=True, slots=True)
class NetworkSize:
    """How large a network is.

    Attributes
    ----------
    parameters : int
        Numbers that training may change; buffers are not among them.
    gmacs : float
        Multiply-adds of one forward at 256x256 in thousand millions: convolutions
        and matrix products, as torch's counter knows them.
    """

    parameters: int
    gmacs: float


def count_network(model: str, model_options: dict[str, Any]) -> NetworkSize:
    """Count a network's parameters and multiply-adds.

    Nothing is computed and no weights are made, so this takes a second or two for
    the largest network. Only one whose path depends on its weights runs really.

    Parameters
    ----------
    model : str
        Preset.
    model_options : dict
        Its options.
    """
    try:
        return _count(model, model_options, pretend=True)
    except DataDependentOutputException:
        logger.info("%s chooses its path by its weights; it is run to count.", model)
    return _count(model, model_options, pretend=False)


def time_network(model: str, model_options: dict[str, Any]) -> float:
    """Return the seconds of one forward at 256x256 on the CPU, a median of three."""
    network = create_model(model, **model_options).eval()
    image = _image(model_options)
    seconds = []
    with torch.inference_mode():
        network(image)
        for _ in range(_TIMED_RUNS):
            began = time.perf_counter()
            network(image)
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


class SecondsMemory:
    """Remembers measured seconds on this machine between commands.

    They are kept by machine, torch, threads, network and size, so that a changed
    network is not given its old figure. A damaged or unwritable file is no error:
    the figures are measured again.

    Parameters
    ----------
    path : Path, optional
        By default ``seconds.json`` in the user's cache folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        folder = Path(user_cache_dir("napari-segmoe", False))
        self.path = path or folder / "seconds.json"

    def recall(self, key: str) -> float | None:
        """Return the seconds kept under a key of `seconds_key`, or None."""
        seconds = self._read().get(key)
        return float(seconds) if isinstance(seconds, int | float) else None

    def keep(self, key: str, seconds: float) -> None:
        """Keep seconds under a key."""
        known = self._read() | {key: seconds}
        unfinished = self.path.with_suffix(f".{os.getpid()}")
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_text(json.dumps(known, indent=1), encoding="utf-8")
            unfinished.replace(self.path)

    def _read(self) -> dict[str, Any]:
        try:
            known = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}


def seconds_key(model: str, model_options: dict[str, Any], size: NetworkSize) -> str:
    """Return what a time depends on, in one line."""
    return ", ".join(
        (
            platform.node(),
            f"torch {torch.__version__}",
            f"{torch.get_num_threads()} threads",
            model,
            json.dumps(model_options, sort_keys=True, default=str),
            f"{size.parameters} parameters",
            f"{size.gmacs:.4f} GMACs",
        )
    )


def _count(model: str, model_options: dict[str, Any], *, pretend: bool) -> NetworkSize:
    with ExitStack() as stack:
        if pretend:
            stack.enter_context(FakeTensorMode())
        stack.enter_context(torch.no_grad())
        network: nn.Module = create_model(model, **model_options).eval()
        image = _image(model_options)
        counter = stack.enter_context(FlopCounterMode(display=False))
        network(image)
    return NetworkSize(
        parameters=sum(value.numel() for value in network.parameters()),
        gmacs=counter.get_total_flops() / 2e9,  # a multiply-add is two FLOPs
    )


def _image(model_options: dict[str, Any]) -> torch.Tensor:
    channels = int(model_options.get("in_channels", 3))
    return torch.zeros(1, channels, SIDE_PX, SIDE_PX)
