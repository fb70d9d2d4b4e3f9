"""`segmoe models`: presets and weights, how large, how fast, how good."""

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_segmoe.cli import console, options
from napari_segmoe.errors import ConfigError
from napari_segmoe.models.card import WeightsCard, list_weights, read_card
from napari_segmoe.models.weights_summary import figures_of, subject_of


@dataclass(frozen=True, slots=True)
class _Listed:
    """One line of the list: a preset, or weights for one."""

    name: str
    model: str
    options: dict[str, Any] = field(default_factory=dict)
    card: WeightsCard | None = None
    bytes: int = 0


def models(
    names: Annotated[
        list[str] | None, typer.Argument(help="Only these presets and weights.")
    ] = None,
    measure: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="Time one 256x256 image on this machine; else the figures of the"
            " last time are shown.",
        ),
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """List the presets and the weights that come with the package."""
    entries = list_entries(names or (), measure=measure)
    if as_json:
        console.show_json(entries)
        return
    presets = [entry for entry in entries if entry["kind"] == "preset"]
    weights = [entry for entry in entries if entry["kind"] == "weights"]
    if presets:
        _show_presets(presets)
    if weights:
        _show_weights(weights)
    if any(entry["seconds_256"] is None for entry in entries):
        console.show_note(
            "some were never timed on this machine; `segmoe models --measure` does."
        )


def list_entries(
    names: Collection[str] = (), *, measure: bool = False
) -> list[dict[str, Any]]:
    """Describe presets, then weights, in the JSON shape of `segmoe models`.

    Parameters
    ----------
    names : collection of str
        Only these; all where empty.
    measure : bool
        Whether to time the networks, which takes up to a minute; without it
        "seconds_256" is what was measured on this machine before, or None.

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
    from napari_segmoe.models.registry import list_models

    known = [_Listed(name, name) for name in list_models()]
    known += [_read_weights(name, path) for name, path in list_weights()]
    unknown = sorted(set(names) - {listed.name for listed in known})
    if unknown:
        choices = ", ".join(listed.name for listed in known)
        raise ConfigError(f"No model or weights {unknown[0]!r}. Known: {choices}.")
    chosen = [listed for listed in known if not names or listed.name in names]
    title = "Measuring" if measure else "Counting"
    with console.make_progress() as progress:
        return [
            _describe(listed, measure=measure)
            for listed in progress.track(chosen, description=title)
        ]


def _show_presets(entries: list[dict[str, Any]]) -> None:
    rows = [
        (
            entry["name"],
            f"{entry['parameters']:,}",
            f"{entry['gmacs_256']:.2f}",
            _seconds(entry),
        )
        for entry in entries
    ]
    columns = ("name", "parameters", "GMACs", "seconds")
    console.show_table("Networks, at 256 px on the CPU", columns, rows)


def _show_weights(entries: list[dict[str, Any]]) -> None:
    rows = [row for entry in entries for row in _weights_rows(entry)]
    columns = ("weights", "images", "pixel", "Dice", "1 click", "class", "AUC")
    title = "Weights, and figures on test images"
    console.show_table(title, columns, rows, is_compact=True)
    for entry in entries:
        words = [entry["title"] or "-", f"{entry['bytes'] / 1e6:.1f} MB"]
        if entry["seconds_256"] is not None:
            words.append(f"{_seconds(entry)} s an image")
        console.show_wrapped(f"{entry['name']}: {', '.join(words)}.", indent=0)
        console.show_wrapped(entry["licence"] or "No licence is stated.", indent=2)
    if any(one["leaky_groups"] for entry in entries for one in entry["figures"]):
        console.show_wrapped(
            "* Patients of these test images are among the training images: figures of"
            " classes flatter.",
            indent=0,
        )


def _weights_rows(entry: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    spacing = entry["spacing_um"]
    known = (entry["name"], entry["subject"], f"{spacing:g} um" if spacing else "any")
    for one in entry["figures"] or [{}]:
        star = "*" if one.get("leaky_groups") else ""
        if one and not one["is_own"]:
            known = (f"  at {one['data']}", "", "")
        yield (
            *known,
            _figure(one.get("dice")),
            _figure(one.get("click_iou")),
            _figure(one.get("class_accuracy"), star),
            _figure(one.get("class_auc"), star),
        )


def _figure(value: float | None, mark: str = "") -> str:
    return "-" if value is None else f"{value:.3f}{mark}"


def _seconds(entry: dict[str, Any]) -> str:
    seconds = entry["seconds_256"]
    return "-" if seconds is None else f"{seconds:.3f}"


def _read_weights(name: str, path: Path) -> _Listed:
    card = read_card(path)
    return _Listed(name, card.model, dict(card.options), card, path.stat().st_size)


def _describe(listed: _Listed, *, measure: bool) -> dict[str, Any]:
    card = listed.card
    entry: dict[str, Any] = {
        "name": listed.name,
        "kind": "preset" if card is None else "weights",
        "title": None if card is None else card.title,
        "licence": None if card is None else card.licence,
        **_figures(listed, measure=measure),
    }
    if card is None:
        return entry
    return entry | {
        "model": card.model,
        "classes": list(card.classes),
        "object_classes": list(card.object_classes),
        "modality": str(card.modality),
        "organ": card.organ,
        "subject": subject_of(card),
        "spacing_um": card.spacing_um,
        "assumed_spacing_um": card.assumed_spacing_um,
        "input_px": card.input_px,
        "figures": [asdict(one) for one in figures_of(card)],
        "domain": None if card.domain is None else card.domain.model_dump(),
        "metrics": card.metrics,
        "data": card.data,
        "split": card.split,
        "bytes": listed.bytes,
        "intended_use": card.intended_use,
    }


def _figures(listed: _Listed, *, measure: bool) -> dict[str, Any]:
    from napari_segmoe.cli import model_figures

    size = model_figures.count_network(listed.model, listed.options)
    key = model_figures.seconds_key(listed.model, listed.options, size)
    memory = model_figures.SecondsMemory()
    seconds = memory.recall(key)
    if measure:
        seconds = model_figures.time_network(listed.model, listed.options)
        memory.keep(key, seconds)
    return {
        "parameters": size.parameters,
        "gmacs_256": size.gmacs,
        "seconds_256": seconds,
    }
