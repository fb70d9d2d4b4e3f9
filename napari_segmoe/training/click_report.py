"""Turn recorded clicks into the report of a click evaluation."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from napari_segmoe.training.bootstrap import BootstrapOptions, bootstrap_interval
from napari_segmoe.training.class_report import class_figures
from napari_segmoe.training.object_class_report import report_object_classes

REPORTED_CLICKS = (1, 2, 3, 5, 10)
TARGETS = (80, 85, 90)
CLASS_AFTER = (1, 3)

Interval = dict[str, float | None]


class RecordedObject(Protocol):
    """One clicked object; see `click_evaluation.ObjectRun`."""

    @property
    def has_others(self) -> bool:
        """Whether its image has objects of other classes."""
        ...

    @property
    def group(self) -> str:
        """Group of its image."""
        ...

    @property
    def class_name(self) -> str | None:
        """True class, of itself or else of its image."""
        ...

    @property
    def iou(self) -> tuple[float, ...]:
        """After each click."""
        ...

    @property
    def iou_from_automatic(self) -> tuple[float, ...]:
        """Of the automatic mask, then after each click."""
        ...

    @property
    def probabilities(self) -> tuple[dict[str, float] | None, ...]:
        """After each click."""
        ...

    @property
    def seconds(self) -> tuple[float, ...]:
        """Of each click."""
        ...

    @property
    def inside_refused(self) -> tuple[bool, ...]:
        """Of single random clicks inside."""
        ...


@dataclass(frozen=True, slots=True)
class ClickReportOptions:
    """Budget of clicks, and the bootstrap's size and seed."""

    max_clicks: int = 20
    resamples: int = 1000
    seed: int = 0

    @property
    def bootstrap(self) -> BootstrapOptions:
        """Keyword arguments of `bootstrap_interval`."""
        return {"resamples": self.resamples, "seed": self.seed}


def summarise_clicks(
    objects: Sequence[RecordedObject],
    background: Sequence[tuple[str, bool, bool]],
    classes: Sequence[str],
    *,
    options: ClickReportOptions,
    unseen: Collection[str] | None = None,
) -> dict[str, Any]:
    """Make the report of a click evaluation.

    Parameters
    ----------
    objects : sequence of RecordedObject
        All clicked objects.
    background : sequence of (group, image has an object, refused)
        One entry a background click.
    classes : sequence of str
        Object classes of the weights.
    options : ClickReportOptions
        Budget, bootstrap.
    unseen : collection of str, optional
        Groups that the weights have not learnt from: only they have a say in
        "classification" and "object_classes".

    Returns
    -------
    dict
        Plain numbers at the agreed keys, and the same figures as
        ``{"mean", "low", "high"}`` under "intervals". An object that never reaches
        a target counts with the whole budget of clicks.
    """
    groups = [run.group for run in objects]

    def mean(values: Sequence[float]) -> Interval:
        return bootstrap_interval(values, groups=groups, **options.bootstrap)

    budget = options.max_clicks
    iou_at = {
        str(count): mean([score_after(run.iou, count) for run in objects])
        for count in REPORTED_CLICKS
    }
    noc = {str(t): mean([_noc(run.iou, t, budget) for run in objects]) for t in TARGETS}
    from_automatic = {
        str(t): mean([_noc_automatic(run, t, budget) for run in objects])
        for t in TARGETS
    }
    start = mean([run.iou_from_automatic[0] for run in objects])
    failures = sum(max(run.iou, default=0) < 0.90 for run in objects)
    intervals = {
        "iou_at": iou_at,
        "noc": noc,
        "from_automatic": {"noc": from_automatic, "iou_at_0": start},
    }
    clean = [run for run in objects if unseen is None or run.group in unseen]
    return {
        "n_objects": len(objects),
        **({} if unseen is None else {"classified_objects": len(clean)}),
        **_only_means(intervals),
        "failures_90": failures,
        "seconds_per_click": _percentiles([s for run in objects for s in run.seconds]),
        "classification": _classes_after(clean, classes, options),
        "object_classes": report_object_classes(clean, classes, options.bootstrap),
        "refusals": _refusals(objects, background, options),
        "intervals": intervals,
    }


def score_after(scores: Sequence[float], clicks: int) -> float:
    """Return the IoU after so many clicks, or the last where fewer were needed."""
    return scores[min(clicks, len(scores)) - 1] if scores else 0.0


def clicks_to_reach(scores: Sequence[float], target: float, budget: int) -> int:
    """Count the clicks until the IoU first reaches a target.

    Parameters
    ----------
    scores : sequence of float
        IoU after each click.
    target : float
        In 0..1.
    budget : int
        Returned where the target is never reached.
    """
    for count, score in enumerate(scores, start=1):
        if score >= target:
            return count
    return budget


def _noc(scores: Sequence[float], per_cent: int, budget: int) -> int:
    return clicks_to_reach(scores, per_cent / 100, budget)


def _noc_automatic(run: RecordedObject, per_cent: int, budget: int) -> int:
    if run.iou_from_automatic[0] >= per_cent / 100:
        return 0
    return clicks_to_reach(run.iou_from_automatic[1:], per_cent / 100, budget)


def _percentiles(seconds: Sequence[float]) -> dict[str, float | None]:
    if not seconds:
        return {"median": None, "p95": None}
    median, p95 = np.percentile(seconds, [50, 95])
    return {"median": float(median), "p95": float(p95)}


def _classes_after(
    objects: Sequence[RecordedObject],
    classes: Sequence[str],
    options: ClickReportOptions,
) -> dict[str, Any] | None:
    if not objects or not {run.class_name for run in objects} <= set(classes):
        return None
    after, intervals, withheld = {}, {}, {}
    for count in CLASS_AFTER:
        answered = [run for run in objects if _probabilities(run, count)]
        if not answered:
            return None
        rows = [_probabilities(run, count) or {} for run in answered]
        figures = class_figures(
            np.array([[row.get(name, 0.0) for name in classes] for row in rows]),
            np.array([list(classes).index(run.class_name or "") for run in answered]),
            [run.group for run in answered],
            options.bootstrap,
        )
        intervals[str(count)] = figures
        after[str(count)] = _only_means(figures)
        withheld[str(count)] = len(objects) - len(answered)
    return {
        "classes": list(classes),
        "after": after,
        "intervals": intervals,
        "withheld": withheld,
    }


def _probabilities(run: RecordedObject, count: int) -> dict[str, float] | None:
    if not run.probabilities:
        return None
    return run.probabilities[min(count, len(run.probabilities)) - 1]


def _refusals(
    objects: Sequence[RecordedObject],
    background: Sequence[tuple[str, bool, bool]],
    options: ClickReportOptions,
) -> dict[str, Any]:
    """Report how often the answer was "no object here", rightly and wrongly."""

    def fraction(rows: Sequence[tuple[str, bool]]) -> Interval:
        groups = [group for group, _ in rows]
        values = [float(refused) for _, refused in rows]
        return bootstrap_interval(values, groups=groups, **options.bootstrap)

    inside = [(run.group, r) for run in objects for r in run.inside_refused]
    centre = [(run.group, run.iou[0] == 0) for run in objects if run.iou]
    return {
        "background": fraction([(group, refused) for group, _, refused in background]),
        "background_beside_object": fraction(
            [
                (group, refused)
                for group, has_object, refused in background
                if has_object
            ]
        ),
        "background_normal_image": fraction(
            [(group, refused) for group, has, refused in background if not has]
        ),
        "inside": fraction(inside),
        "first_click_missed": fraction(centre),
        "n_background": len(background),
        "n_inside": len(inside),
    }


def _only_means(figures: Mapping[str, Any]) -> dict[str, Any]:
    means: dict[str, Any] = {}
    for name, value in figures.items():
        if isinstance(value, Mapping):
            is_interval = set(value) == {"mean", "low", "high"}
            means[name] = value["mean"] if is_interval else _only_means(value)
        else:
            means[name] = value
    return means
