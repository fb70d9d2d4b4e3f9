"""A model's answers that nobody has accepted: pseudo-labels, as a file keeps them."""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.label_runs import Labels, decode_runs, encode_runs
from napari_segmoe.project.records import PixelBox

FILE = "pseudo_labels.json"


@dataclass(frozen=True, slots=True)
class ProposedObject:
    """One object of a place.

    Attributes
    ----------
    id : int
        Value of its pixels in the place's labels.
    confidence : float
        Mean probability of its pixels, in 0..1.
    class_name : str or None
        The model's class.
    probability : float or None
        Of that class.
    """

    id: int
    confidence: float
    class_name: str | None = None
    probability: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ProposedPlace:
    """A box of an image with a model's answers.

    Attributes
    ----------
    image, fingerprint : str
        Name in the project, and what the file is known by.
    box : (y0, x0, y1, x1)
        In the image's pixels.
    runs : bytes
        Labels of the box as `label_runs` has them.
    objects : tuple of ProposedObject
    source : str
        A round, or the weights that were asked.
    agreement : float or None
        Share of the pixels that taught on which the learning network agreed.
    weight : float or None
        With which they taught.
    """

    image: str
    fingerprint: str
    box: PixelBox
    runs: bytes
    objects: tuple[ProposedObject, ...]
    source: str
    agreement: float | None = None
    weight: float | None = None

    @property
    def labels(self) -> Labels:
        """Label pixels of the box, (h, w) uint32.

        Raises
        ------
        ProjectError
            If they are damaged, or do not fit the box.
        """
        found = decode_runs(self.runs)
        y0, x0, y1, x1 = self.box
        if found.shape != (y1 - y0, x1 - x0):
            raise ProjectError(_damaged(FILE))
        return found

    @property
    def confidence(self) -> float | None:
        """Mean confidence of its objects; None where there are none."""
        if not self.objects:
            return None
        return sum(one.confidence for one in self.objects) / len(self.objects)

    @property
    def figures(self) -> dict[str, float]:
        """Count, confidence, agreement and weight, as far as they are known."""
        found = {
            "objects": float(len(self.objects)),
            "confidence": self.confidence,
            "agreement": self.agreement,
            "weight": self.weight,
        }
        return {name: value for name, value in found.items() if value is not None}


def pack_labels(labels: Labels) -> bytes:
    """Return labels as `ProposedPlace` takes them."""
    return encode_runs(labels)


def write_proposals(path: Path, places: Iterable[ProposedPlace]) -> None:
    """Write places into a file, atomically; names no file and no person.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    values = {"version": 1, "places": [_values(one) for one in places]}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(values), encoding="utf-8")
    partial.replace(path)


def read_proposals(path: Path) -> tuple[ProposedPlace, ...]:
    """Read what `write_proposals` wrote; nothing where there is no file.

    Raises
    ------
    ProjectError
        If it is damaged.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return tuple(_place(one) for one in values["places"])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProjectError(_damaged(path.name)) from error


def _values(place: ProposedPlace) -> dict[str, Any]:
    return {
        "image": place.image,
        "fingerprint": place.fingerprint,
        "box": list(place.box),
        "runs": base64.b64encode(place.runs).decode("ascii"),
        "objects": [
            [one.id, round(one.confidence, 4), one.class_name, one.probability]
            for one in place.objects
        ],
        "source": place.source,
        "agreement": place.agreement,
        "weight": place.weight,
    }


def _place(values: dict[str, Any]) -> ProposedPlace:
    y0, x0, y1, x1 = (int(edge) for edge in values["box"])
    objects = tuple(
        ProposedObject(int(number), float(confidence), name, probability)
        for number, confidence, name, probability in values["objects"]
    )
    return ProposedPlace(
        str(values["image"]),
        str(values["fingerprint"]),
        (y0, x0, y1, x1),
        base64.b64decode(values["runs"], validate=True),
        objects,
        str(values["source"]),
        values["agreement"],
        values["weight"],
    )


def _damaged(name: str) -> str:
    return (
        f"{name} is damaged: these pseudo-labels cannot be shown. Ask the model for"
        " suggestions anew."
    )
