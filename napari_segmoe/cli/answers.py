"""A prediction as the files and the JSON that commands hand out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_segmoe.cli.files import encode_json, encode_png, write_files
from napari_segmoe.errors import ConfigError
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.types import Click, LoadedImage, Prediction, SegmentedObject


def describe_prediction(
    name: str, prediction: Prediction, card: WeightsCard, image: LoadedImage
) -> dict[str, Any]:
    """Describe a prediction in the JSON shape of `segmoe segment`.

    Parameters
    ----------
    name : str
        File name of the image.
    prediction : Prediction
        The answer.
    card : WeightsCard
        Of the weights that gave it.
    image : LoadedImage
        The image, for its spacing and notes.
    """
    return {
        "image": name,
        "weights": card.name,
        "spacing_um": list(image.spacing_um) if image.spacing_um else None,
        "size": list(prediction.mask.shape),
        "objects": [_describe_object(item) for item in prediction.objects],
        "classes": dict(prediction.classes) if prediction.classes else None,
        "is_uncertain": prediction.is_uncertain,
        "notes": [*image.notes, *prediction.notes],
        "intended_use": card.intended_use,
    }


def write_answer(
    folder: Path,
    stem: str,
    *,
    image: LoadedImage,
    prediction: Prediction,
    description: dict[str, Any],
    card: WeightsCard,
    clicks: Sequence[Click] = (),
) -> tuple[Path, ...]:
    """Write mask, description and overlay of one image, all or none.

    Returns
    -------
    tuple of Path
        STEM.mask.png (uint16), STEM.json, STEM.overlay.png.

    Raises
    ------
    ConfigError
        If there are more objects than a 16-bit mask can number.
    """
    from napari_segmoe.cli.overlay import draw_overlay  # brings scipy

    largest = int(prediction.labels.max(initial=0))
    if largest > np.iinfo(np.uint16).max:
        raise ConfigError(
            f"{largest} objects do not fit into a 16-bit mask. "
            "Segment a smaller part of the image."
        )
    overlay = draw_overlay(
        image.pixels,
        prediction,
        classes=card.object_classes or card.classes,
        clicks=clicks,
    )
    contents = {
        f"{stem}.mask.png": encode_png(prediction.labels.astype(np.uint16)),
        f"{stem}.json": encode_json(description),
        f"{stem}.overlay.png": encode_png(overlay),
    }
    return write_files(folder, contents)


def _describe_object(item: SegmentedObject) -> dict[str, Any]:
    return {
        "id": item.id,
        "class": item.class_name,
        "probabilities": dict(item.probabilities) if item.probabilities else None,
        "area_px": item.area_px,
        "area_um2": item.area_um2,
        "box": list(item.box),
        "polygon": [list(point) for point in item.polygon],
        "long_axis_px": item.long_axis_px,
        "short_axis_px": item.short_axis_px,
        "width_height_ratio": item.width_height_ratio,
    }
