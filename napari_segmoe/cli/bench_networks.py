"""Ratios of the networks, each measured by a child process of its own."""

import sys
from dataclasses import dataclass
from typing import Any

from napari_segmoe.cli.bench import Measurement
from napari_segmoe.cli.bench_child import ask_child
from napari_segmoe.models.registry import list_models

_MODULE = "napari_segmoe.cli.network_ratios"
_SECONDS = 600


@dataclass(frozen=True, slots=True)
class _Promise:
    """One promised figure."""

    name: str
    bound: float
    unit: str = "ratio"
    at_least: bool = False


_EXPERTS = {
    "experts": _Promise(
        "TA-MoSC experts and mixing, k = 2: per-gate dispatch / ours",
        1.8,
        at_least=True,
    ),
    "difference": _Promise(
        "TA-MoSC experts and mixing: largest difference to per-gate dispatch",
        1e-5,
        "absolute",
    ),
}
_PROGRESSIVE = {
    "progressive": _Promise(
        "mixsearch: full network / progressive head", 1.2, at_least=True
    )
}


def measure_networks(device: str, threads: int | None) -> list[Measurement]:
    """Compare networks, or parts of them, with what they are promised to beat.

    Parameters
    ----------
    device : str
        auto, cpu, cuda:N or mps.
    threads : int, optional
        CPU threads.

    Returns
    -------
    list of Measurement
        Figures of one question come from one fresh process, in which what is
        compared runs in turns. A process that fails leaves its figures without
        value, and the note says why.
    """
    found = []
    for question, promises in _questions().items():
        words = [*question, "--device", device]
        if threads is not None:
            words += ["--threads", str(threads)]
        found += _ask(words, promises)
    return found


def _questions() -> dict[tuple[str, ...], dict[str, _Promise]]:
    """Return the child's arguments, and the figures that it answers with."""
    questions: dict[tuple[str, ...], dict[str, _Promise]] = {
        ("experts",): _EXPERTS,
        ("progressive",): _PROGRESSIVE,
    }
    lite = [name for name in list_models() if name.endswith("_lite")]
    for name in lite:
        questions["encoder", name] = {
            "encoder": _Promise(f"{name} / bare EfficientNet-Lite0 encoder", 4.0)
        }
    for name in lite:
        questions["explain", name] = {
            "explain": _Promise(f"{name}: explanations / one forward", 1.0)
        }
    return questions


def _ask(words: list[str], promises: dict[str, _Promise]) -> list[Measurement]:
    command = [sys.executable, "-m", _MODULE, *words]
    figures = ask_child(command, seconds=_SECONDS)
    if "reason" in figures:
        return _nothing(promises, figures["reason"])
    return [
        _measurement(promise, figures.get(key) or {})
        for key, promise in promises.items()
    ]


def _measurement(promise: _Promise, figure: dict[str, Any]) -> Measurement:
    return Measurement(
        promise.name,
        figure.get("value"),
        promise.bound,
        promise.unit,
        at_least=promise.at_least,
        note=figure.get("note", ""),
    )


def _nothing(promises: dict[str, _Promise], reason: str) -> list[Measurement]:
    return [
        _measurement(promise, {"value": None, "note": reason})
        for promise in promises.values()
    ]
