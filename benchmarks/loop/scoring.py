"""Dice of single images, and what weights that never change scored, kept on disk."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from loop.material import Picture
from napari_segmoe.inference.predictor import SegmentationPredictor

Scores = dict[str, float]


def score(predictor: SegmentationPredictor, pictures: Sequence[Picture]) -> Scores:
    """Return the Dice of the automatic mode's mask of each image."""
    return {picture.name: score_one(predictor, picture) for picture in pictures}


def score_one(predictor: SegmentationPredictor, picture: Picture) -> float:
    """Return the Dice of one image; an empty answer to an empty truth is 1."""
    spacing = picture.spacing_um
    predictor.set_image(
        picture.pixels(), None if spacing is None else (spacing, spacing)
    )
    found, truth = predictor.predict().mask, picture.truth() > 0
    total = int(found.sum() + truth.sum())
    return 1.0 if not total else round(2 * float((found & truth).sum()) / total, 5)


class BaseScores:
    """What the shipped weights score, image by image; asked once, kept in a file.

    Parameters
    ----------
    path : Path
        JSON file.
    predictor : SegmentationPredictor
    """

    def __init__(self, path: Path, predictor: SegmentationPredictor) -> None:
        self._path, self._predictor = path, predictor
        self._known: dict[str, Scores] = (
            json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        )

    def of(self, kind: str, pictures: Sequence[Picture]) -> Scores:
        """Return the Dice of images; ``kind`` tells their version, as "shifted"."""
        known = self._known.setdefault(kind, {})
        missing = [one for one in pictures if one.name not in known]
        if missing:
            known.update(score(self._predictor, missing))
            self._path.write_text(json.dumps(self._known), encoding="utf-8")
        return {one.name: known[one.name] for one in pictures}


def mean(scores: Mapping[str, float]) -> float:
    """Return the mean over images."""
    return round(float(np.mean(list(scores.values()))), 5)
