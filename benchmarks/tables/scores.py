"""Automatic mode and simulated clicks: a column a report, a row a figure."""

from collections.abc import Sequence

from tables.markdown import Look, Report, judge, look, section, table
from tables.sources import not_run, reports

# What is shown, where it stands, its bounds by data, whether it must be at least that.
Row = tuple[str, Look, dict[str, float], bool]
_MEAN, _POOLED = "segmentation", "pooled"
_CLASS = "classification"
AUTOMATIC: tuple[Row, ...] = (
    ("Images with an object", look("n_with_object"), {}, True),
    ("Dice", look(_MEAN, "dice"), {"busi": 0.76, "glas": 0.92}, True),
    ("IoU", look(_MEAN, "iou"), {"busi": 0.68}, True),
    ("Dice, pooled pixels", look(_POOLED, "dice"), {}, True),
    ("IoU, pooled pixels", look(_POOLED, "iou"), {}, True),
    ("Precision", look(_MEAN, "precision"), {}, True),
    ("Recall", look(_MEAN, "recall"), {}, True),
    ("HD95 (px)", look(_MEAN, "hd95"), {}, False),
    ("Average surface distance (px)", look(_MEAN, "asd"), {}, False),
    ("Boundary F1 at 3 px", look(_MEAN, "boundary_f1"), {}, True),
    (
        "Object F1 (gland challenge, pooled)",
        look(_POOLED, "object_f1"),
        {"glas": 0.84, "dsb2018_he": 0.75},
        True,
    ),
    ("Object F1, mean of images", look(_MEAN, "object_f1"), {}, True),
    ("F1 at IoU 0.5, pooled (RQ)", look(_POOLED, "rq"), {}, True),
    ("Object Dice (gland challenge, pooled)", look(_POOLED, "object_dice"), {}, True),
    ("Object Hausdorff, pooled (px)", look(_POOLED, "object_hausdorff"), {}, False),
    ("AJI, mean of images", look(_MEAN, "aji"), {}, True),
    ("PQ, mean of images", look(_MEAN, "pq"), {}, True),
    ("Distance: sign agreement", look(_MEAN, "distance_sign"), {}, True),
    ("Distance: rank correlation", look(_MEAN, "distance_rank"), {}, True),
    ("Images behind the classes", look("classified_images"), {}, True),
    ("Class accuracy", look(_CLASS, "accuracy"), {"busi": 0.85}, True),
    ("Class balanced accuracy", look(_CLASS, "balanced_accuracy"), {}, True),
    ("Class AUC", look(_CLASS, "auc"), {"busi": 0.93}, True),
    ("Class F1", look(_CLASS, "f1"), {}, True),
    ("Calibration error", look(_CLASS, "ece"), {}, False),
    ("Brier score", look(_CLASS, "brier"), {}, False),
    ("Normal images marked", look("normal_images_marked"), {"busi": 0.25}, False),
    ("Routing: variation between images", look("routing", "variation"), {}, True),
)
_CLICKS = ("intervals", "iou_at")
_AFTER = (_CLASS, "intervals")
_COVER = (_CLASS, "after", "1", "accuracy_at_coverage")
_REFUSED = "Background click answered “no object here”"
INTERACTIVE: tuple[Row, ...] = (
    ("Objects", look("n_objects"), {}, True),
    ("IoU after 1 click", look(*_CLICKS, "1"), {"busi": 0.72, "glas": 0.65}, True),
    ("IoU after 2 clicks", look(*_CLICKS, "2"), {}, True),
    ("IoU after 3 clicks", look(*_CLICKS, "3"), {"busi": 0.80}, True),
    ("IoU after 5 clicks", look(*_CLICKS, "5"), {}, True),
    ("IoU after 10 clicks", look(*_CLICKS, "10"), {}, True),
    ("NoC@80", look("intervals", "noc", "80"), {}, False),
    ("NoC@85", look("intervals", "noc", "85"), {"busi": 4, "glas": 4}, False),
    ("NoC@90", look("intervals", "noc", "90"), {}, False),
    ("Never reach IoU 0.90", look("failures_90"), {}, False),
    (
        "NoC@85 from the automatic mask",
        look("intervals", "from_automatic", "noc", "85"),
        {},
        False,
    ),
    (_REFUSED, look("refusals", "background"), {"busi": 0.60}, True),
    (
        "Click inside an object refused",
        look("refusals", "inside"),
        {"busi": 0.05},
        False,
    ),
    ("Object AUC after 1 click", look(*_AFTER, "1", "auc"), {"busi": 0.88}, True),
    ("Object AUC after 3 clicks", look(*_AFTER, "3", "auc"), {"busi": 0.88}, True),
    (
        "Object balanced accuracy after 1 click",
        look(*_AFTER, "1", "balanced_accuracy"),
        {"oct_kermany_lesions": 0.80},
        True,
    ),
    (
        "Calibration error after 1 click",
        look(*_AFTER, "1", "ece"),
        {"busi": 0.08},
        False,
    ),
    (
        "Calibration error after 3 clicks",
        look(*_AFTER, "3", "ece"),
        {"busi": 0.08},
        False,
    ),
    ("Accuracy at 100 % coverage, 1 click", look(*_COVER, "100"), {}, True),
    ("Accuracy at 80 % coverage, 1 click", look(*_COVER, "80"), {}, True),
    ("Accuracy at 60 % coverage, 1 click", look(*_COVER, "60"), {}, True),
    ("Seconds per click, median", look("seconds_per_click", "median"), {}, False),
    ("Seconds per click, p95", look("seconds_per_click", "p95"), {}, False),
)


def automatic() -> str:
    """Return the table of the automatic mode."""
    told = (
        "Means are over images with an object, pooled figures over all images taken as"
        " one. A figure's definition, and what it says of empty images, stands in"
        " `napari_segmoe/training/{metrics,object_metrics,outline_metrics,"
        "distance_metrics,class_metrics}.py`. Object F1 counts a hit where more than"
        " half of a true object is covered, as the gland challenge does; RQ where the"
        " IoU is above 0.5."
    )
    return _section("Automatic mode", "evaluate", AUTOMATIC, told)


def clicks() -> str:
    """Return the table of simulated clicks."""
    told = (
        "Deterministic clicker unless the report's name says otherwise: the next click"
        " is the deepest pixel of the larger error, at most 20 clicks; components below"
        " 30 px are left out; an object that never reaches a target counts 20."
    )
    return _section("Simulated clicks", "clicks", INTERACTIVE, told)


def _section(title: str, kind: str, rows: Sequence[Row], told: str) -> str:
    found = reports(kind)
    if not found:
        command = f"segmoe {kind} --data DATA --out benchmarks/NAME.{kind}.json"
        return section(title, not_run(command))
    header = ["", *(_column(name, one) for name, one in found.items()), "bounds"]
    body = [
        [
            name,
            *(
                judge(find(one), bounds.get(str(one.get("data"))), at_least=least)
                for one in found.values()
            ),
            ", ".join(
                f"{data} {'≥' if least else '≤'} {bound:g}"
                for data, bound in bounds.items()
            ),
        ]
        for name, find, bounds, least in rows
        if any(find(one) is not None for one in found.values())
    ]
    return section(title, table(header, body), told)


def _column(name: str, report: Report) -> str:
    place = f"{report.get('data', '?')} / {report.get('split', '?')}"
    weights = report.get("weights")
    return f"{name} ({weights}: {place})" if weights else f"{name} ({place})"
