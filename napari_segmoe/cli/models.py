"""`segmoe models`: presets and weights, how large, how fast, how good."""

import statistics
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_segmoe.cli import console, options
from napari_segmoe.models.card import list_weights, read_card

_SIDE_PX = 256
_TIMED_RUNS = 3


def models(
    names: Annotated[
        list[str] | None, typer.Argument(help="Only these presets and weights.")
    ] = None,
    measure: Annotated[
        bool,
        typer.Option("--measure/--no-measure", help="Count and time the networks."),
    ] = True,
    as_json: options.AsJson = False,
) -> None:
    """List the presets and the weights that come with the package."""
    entries = list_entries(names or (), measure=measure)
    if as_json:
        console.show_json(entries)
        return
    columns = ("name", "kind", "parameters", "GMACs", "seconds", "licence", "title")
    rows = [
        (
            entry["name"],
            entry["kind"],
            _number(entry["parameters"], "{:,}"),
            _number(entry["gmacs_256"], "{:.2f}"),
            _number(entry["seconds_256"], "{:.3f}"),
            entry["licence"] or "-",
            entry["title"] or "-",
        )
        for entry in entries
    ]
    console.show_table(f"Networks and weights, at {_SIDE_PX} px", columns, rows)


def list_entries(names: Any = (), *, measure: bool = True) -> list[dict[str, Any]]:
    """Describe presets, then weights, in the JSON shape of `segmoe models`.

    Parameters
    ----------
    names : collection of str
        Only these; all where empty.
    measure : bool
        Whether to build and time the networks; without it their numbers are None.

    Returns
    -------
    list of dict
        "gmacs_256" counts multiply-adds of one forward at 256x256, "seconds_256"
        is the median of three on the CPU.

    Raises
    ------
    ConfigError
        If a name is neither a preset nor weights.
    """
    from napari_segmoe.errors import ConfigError
    from napari_segmoe.models.registry import list_models

    presets, weights = list_models(), dict(list_weights())
    unknown = set(names) - set(presets) - set(weights)
    if unknown:
        known = ", ".join((*presets, *weights))
        raise ConfigError(
            f"No model or weights {sorted(unknown)[0]!r}. Known: {known}."
        )
    entries = [
        _describe_preset(name, measure=measure)
        for name in presets
        if not names or name in names
    ]
    entries += [
        _describe_weights(path, measure=measure)
        for name, path in weights.items()
        if not names or name in names
    ]
    return entries


def measure_network(model: str, model_options: dict[str, Any]) -> dict[str, Any]:
    """Count a network's parameters and multiply-adds, and time it.

    Parameters
    ----------
    model : str
        Preset.
    model_options : dict
        Its options.

    Returns
    -------
    dict
        "parameters", "gmacs_256" and "seconds_256".
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from napari_segmoe.models.registry import create_model

    network = create_model(model, **model_options).eval()
    channels = int(model_options.get("in_channels", 3))
    image = torch.zeros(1, channels, _SIDE_PX, _SIDE_PX)
    seconds = []
    with torch.inference_mode():
        with FlopCounterMode(display=False) as counter:
            network(image)
        for _ in range(_TIMED_RUNS):
            began = time.perf_counter()
            network(image)
            seconds.append(time.perf_counter() - began)
    return {
        "parameters": sum(value.numel() for value in network.parameters()),
        "gmacs_256": counter.get_total_flops() / 2e9,  # a multiply-add is two FLOPs
        "seconds_256": statistics.median(seconds),
    }


def _describe_preset(name: str, *, measure: bool) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "preset",
        "title": None,
        "licence": None,
        **_figures(name, {}, measure=measure),
    }


def _describe_weights(path: Path, *, measure: bool) -> dict[str, Any]:
    card = read_card(path)
    return {
        "name": path.stem,
        "kind": "weights",
        "title": card.title,
        "licence": card.licence,
        **_figures(card.model, dict(card.options), measure=measure),
        "model": card.model,
        "classes": list(card.classes),
        "object_classes": list(card.object_classes),
        "modality": str(card.modality),
        "organ": card.organ,
        "metrics": card.metrics,
        "data": card.data,
        "bytes": path.stat().st_size,
        "intended_use": card.intended_use,
    }


def _figures(
    model: str, model_options: dict[str, Any], *, measure: bool
) -> dict[str, Any]:
    if measure:
        return measure_network(model, model_options)
    return {"parameters": None, "gmacs_256": None, "seconds_256": None}


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
