"""A prediction as the files and the JSON that commands hand out."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.cli.files import encode_json, encode_png, write_files
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
        STEM.mask.png (uint16; with more objects than that numbers STEM.mask.tiff,
        uint32), STEM.json, STEM.overlay.png.
    """
    from napari_segmoe.cli.overlay import draw_overlay  # brings scipy

    overlay = draw_overlay(
        image.pixels,
        prediction,
        classes=card.object_classes or card.classes,
        clicks=clicks,
    )
    suffix, mask = _encode_mask(prediction.labels)
    contents = {
        f"{stem}.mask{suffix}": mask,
        f"{stem}.json": encode_json(description),
        f"{stem}.overlay.png": encode_png(overlay),
    }
    return write_files(folder, contents)


def _encode_mask(labels: NDArray[np.uint32]) -> tuple[str, bytes]:
    """Return a mask's suffix and file; PNG has no more than 16 bits."""
    if labels.max(initial=0) <= np.iinfo(np.uint16).max:
        return ".png", encode_png(labels.astype(np.uint16))
    import tifffile

    buffer = io.BytesIO()
    tifffile.imwrite(buffer, labels, compression="zlib", metadata=None)
    return ".tiff", buffer.getvalue()


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
