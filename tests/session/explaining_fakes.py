"""A predictor without a network that says why, and can be steered."""

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import distance_transform_edt

from napari_segmoe.types import Explanation, ExplanationGroup
from tests.session.fakes import FakePredictor

EXPERTS = ("expert 1", "expert 2", "expert 3")
STAGES = ("T1", "T2")
ABSENT = {"Depth": "fake has no earlier outputs or cells to compare."}
MAPS = (
    "distance",
    "boundary",
    "uncertainty",
    *(f"contribution/{stage}/{expert}" for stage in STAGES for expert in EXPERTS),
    "attention/D1",
)


@dataclass
class ExplainingPredictor(FakePredictor):
    """Without expert 2 a mask loses its left half; pinned alone, expert 3 its top."""

    def predict(self, clicks=(), *, explain=False, steering=None, **asked):
        answer = super().predict(clicks, explain=explain, steering=steering, **asked)
        weights = np.stack([weights_at(stage, steering) for stage in STAGES])
        mask = answer.mask.copy()
        if weights[0, 1] == 0:
            mask[:, : mask.shape[1] // 4] = False
        answer = replace(answer, mask=mask, labels=(mask * answer.labels))
        if not explain:
            return answer
        return replace(answer, explanations=explain_mask(mask, weights))

    def unavailable_explanations(self):
        return ABSENT


def weights_at(stage, steering):
    pinned, vetoed = steering.of(stage) if steering else ((), ())
    start = (0.2, 0.5, 0.3) if stage == "T1" else (0.6, 0.3, 0.1)
    kept = [
        weight * (name not in vetoed) * (not pinned or name in pinned)
        for name, weight in zip(EXPERTS, start, strict=True)
    ]
    return np.array(kept, np.float32) / sum(kept)


def explain_mask(mask, weights):
    inside, outside = distance_transform_edt(mask), distance_transform_edt(~mask)
    depth = (inside / max(inside.max(), 1) - outside / max(outside.max(), 1)).astype(
        np.float32
    )
    near = np.exp(-np.abs(depth) * 6).astype(np.float32)
    shares = [near, np.clip(depth, 0, 1), np.clip(-depth, 0, 1)]
    found = [
        a_map("distance", "Distance to the edge", depth, "GEOMETRY", (-1, 1), "RdBu_r"),
        a_map("boundary", "Boundary", near, "GEOMETRY"),
        a_map("uncertainty", "Uncertainty", near**2, "UNCERTAINTY"),
    ]
    for stage, row in zip(STAGES, weights, strict=True):
        parts = [share * weight for share, weight in zip(shares, row, strict=True)]
        found += [
            a_map(
                f"contribution/{stage}/{expert}",
                f"{expert.capitalize()} at {stage}",
                part,
                "EXPERTS",
            )
            for expert, part in zip(EXPERTS, parts, strict=True)
        ]
        leader = np.argmax(parts, axis=0).astype(np.float32)
        found.append(
            replace(
                a_map(
                    f"dominant/{stage}", f"Leading expert at {stage}", leader, "EXPERTS"
                ),
                kind="categories",
                labels=EXPERTS,
                value_range=(0, len(EXPERTS) - 1),
            )
        )
    table = a_map("routing", "Routing, stage x expert", weights, "ROUTING")
    found.append(
        replace(
            table, kind="table", labels=EXPERTS, row_labels=STAGES, colormap="Blues"
        )
    )
    found.append(a_map("attention/D1", "Attention gate D1", 1 - near, "ATTENTION"))
    return tuple(found)


def a_map(key, name, values, group, value_range=(0.0, 1.0), colormap="magma"):
    return Explanation(
        kind="map",
        name=name,
        values=np.asarray(values, np.float32),
        labels=(),
        value_range=value_range,
        description=f"What {name.lower()} is, in one sentence that says so plainly.",
        key=key,
        group=str(ExplanationGroup[group]),
        colormap=colormap,
    )
