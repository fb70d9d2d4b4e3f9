"""What weights cost to train: image samples times epochs, and core-hours."""

import json
from typing import Any

from napari_segmoe.models.card import WeightsCard, list_weights, read_card
from tables.markdown import NOTHING
from tables.sources import FOLDER, read


def shipped_cards() -> dict[str, WeightsCard]:
    """Return the cards of the weights in the package."""
    return {name: read_card(path) for name, path in list_weights()}


def cost_of(card: WeightsCard) -> str:
    """Return samples an epoch times epochs, and the time where it was written down."""
    images = int(card.data.get("train", 0)) * int(
        card.training.get("samples_per_image", 1)
    )
    measured = _measured(card.name)
    epochs = measured.get("epochs") or _epochs(card)
    told = f"{images} x {epochs}" if images and epochs else NOTHING
    hours = measured.get("core_hours")
    return f"{told}, {hours:.1f} core-hours" if hours else told


def _epochs(card: WeightsCard) -> int:
    training = card.training
    first = 0
    if training.get("recipe") == "two_stage" and not training.get("first_stage"):
        first = int(training.get("first_stage_epochs", 0))
    return int(training.get("epochs", 0)) + first


def _measured(name: str) -> dict[str, Any]:
    """Return epochs and core-hours from the run's events, else as noted by hand."""
    path = FOLDER / f"{name}.events.jsonl"
    noted = (read("costs.json") or {}).get(name, {})
    if not path.is_file():
        return noted
    lines = path.read_text("utf-8").splitlines()
    epochs = [one for one in map(json.loads, lines) if one.get("event") == "epoch"]
    seconds = [one["seconds"] for one in epochs if "seconds" in one]
    found = {"epochs": len(epochs)}
    if len(seconds) == len(epochs) and seconds:
        found["core_hours"] = sum(seconds) / 3600
    return found | noted
