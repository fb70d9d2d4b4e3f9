r"""Write RESULTS.md from the reports of `segmoe evaluate`, `clicks` and `bench`.

    segmoe evaluate --data ../shared/data/busi --out benchmarks/busi.evaluate.json
    segmoe clicks --data ../shared/data/busi --out benchmarks/busi.clicks.json
    segmoe evaluate --data ../shared/data/stu_hospital \
        --out benchmarks/stu.evaluate.json
    segmoe bench --json > benchmarks/bench.json
    segmoe bench slide-view --json > benchmarks/slides.bench.json
    python benchmarks/make_results.py

Each report NAME.evaluate.json or NAME.clicks.json in this folder makes one column.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PAPER_IOU, PAPER_ACCURACY = 0.745, 0.906
Report = Mapping[str, Any]
Look = Callable[[Report], Any]


def look(*keys: str) -> Look:
    """Return a function that follows keys into a report; None where they end."""

    def follow(report: Report) -> Any:
        value: Any = report
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    return follow


# What is shown, where it stands, its bound, and whether it must be at least that.
Row = tuple[str, Look, float | None, bool]
AUTOMATIC: tuple[Row, ...] = (
    ("Images with a lesion", look("n_with_object"), None, True),
    ("Dice", look("segmentation", "dice"), 0.76, True),
    ("IoU", look("segmentation", "iou"), 0.68, True),
    ("Dice, pooled pixels", look("segmentation", "dice_pooled"), None, True),
    ("IoU, pooled pixels", look("segmentation", "iou_pooled"), None, True),
    ("HD95 (px)", look("segmentation", "hd95"), None, False),
    ("Object F1", look("segmentation", "object_f1"), None, True),
    ("Class accuracy", look("classification", "accuracy"), 0.85, True),
    ("Class AUC", look("classification", "auc"), 0.93, True),
    ("Class F1", look("classification", "f1"), None, True),
    ("Calibration error", look("classification", "ece"), None, False),
    ("Normal images marked", look("normal_images_marked"), 0.25, False),
)
_CLICKS = ("intervals", "iou_at")
_AFTER = ("classification", "intervals")
_COVER = ("classification", "after", "1", "accuracy_at_coverage")
INTERACTIVE: tuple[Row, ...] = (
    ("Objects", look("n_objects"), None, True),
    ("IoU after 1 click", look(*_CLICKS, "1"), 0.72, True),
    ("IoU after 2 clicks", look(*_CLICKS, "2"), None, True),
    ("IoU after 3 clicks", look(*_CLICKS, "3"), 0.80, True),
    ("IoU after 5 clicks", look(*_CLICKS, "5"), None, True),
    ("IoU after 10 clicks", look(*_CLICKS, "10"), None, True),
    ("NoC@80", look("intervals", "noc", "80"), None, False),
    ("NoC@85", look("intervals", "noc", "85"), 4, False),
    ("NoC@90", look("intervals", "noc", "90"), None, False),
    ("Never reach IoU 0.90", look("failures_90"), None, False),
    (
        "NoC@85 from the automatic mask",
        look("intervals", "from_automatic", "noc", "85"),
        None,
        False,
    ),
    (
        "Background click answered “no object here”",
        look("refusals", "background"),
        0.60,
        True,
    ),
    ("Click inside a lesion refused", look("refusals", "inside"), 0.05, False),
    ("Object AUC after 1 click", look(*_AFTER, "1", "auc"), 0.88, True),
    ("Object AUC after 3 clicks", look(*_AFTER, "3", "auc"), 0.88, True),
    ("Calibration error after 1 click", look(*_AFTER, "1", "ece"), 0.08, False),
    ("Calibration error after 3 clicks", look(*_AFTER, "3", "ece"), 0.08, False),
    ("Accuracy at 100 % coverage, 1 click", look(*_COVER, "100"), None, True),
    ("Accuracy at 80 % coverage, 1 click", look(*_COVER, "80"), None, True),
    ("Accuracy at 60 % coverage, 1 click", look(*_COVER, "60"), None, True),
    ("Seconds per click, median", look("seconds_per_click", "median"), None, False),
    (
        "Seconds per click, p95",
        look("seconds_per_click", "p95"),
        None,
        False,
    ),
)


SLIDES = """Made by

    segmoe make-slide --size 80000,100000 --tissue 0.3 --out big.ome.tif
    segmoe bench slide-view --slide big.ome.tif --json > benchmarks/slides.bench.json

Without `--slide` such a slide is made once, in the cache folder. Memory is resident
memory: its largest sum over window and predictor process while slide and dock open and
the first click is answered, less that of an empty viewer before. Lateness is that of a
10 ms timer of the window's thread; the camera moves every 40 ms.
"""
OF_SLIDES = ("slide", "region")  # words in the names of their figures


def main() -> None:
    """Write RESULTS.md beside this script."""
    parts = [
        "# Results\n",
        "Made by `benchmarks/make_results.py` from the JSON reports in this folder. "
        "Intervals are 95 % percentile bootstrap over groups of near-duplicate images. "
        "Fixed threshold 0.5, no test-time augmentation; mask scores are means per "
        "image over images with a lesion. Bounds are those of the busi test split.\n",
        render_section("Automatic mode", "evaluate", AUTOMATIC),
        f"For scale: the network's paper reports IoU {100 * PAPER_IOU:.1f} and "
        f"accuracy {100 * PAPER_ACCURACY:.1f} % on BUSI, on another, easier split: "
        "near-duplicate images may stand on both sides of it, here never.\n",
        render_section("Simulated clicks", "clicks", INTERACTIVE),
        "Deterministic clicker unless the report's name says otherwise: the next click "
        "is the deepest pixel of the larger error, at most 20 clicks; components below "
        "30 px are left out; an object that never reaches a target counts 20.\n",
        render_bench("Speed and memory", of_slides=False),
        render_bench("Slides", of_slides=True),
        SLIDES,
        (FOLDER / "remarks.md").read_text(encoding="utf-8"),
    ]
    (FOLDER / "RESULTS.md").write_text("\n".join(parts), encoding="utf-8")
    print(f"Wrote {FOLDER / 'RESULTS.md'}.")


def render_section(title: str, kind: str, rows: Sequence[Row]) -> str:
    """Render one table with a column a report; says so where there are none."""
    reports = {
        path.name.removesuffix(f".{kind}.json"): json.loads(path.read_text("utf-8"))
        for path in sorted(FOLDER.glob(f"*.{kind}.json"))
    }
    if not reports:
        return f"## {title}\n\nNo report `*.{kind}.json` yet.\n"
    header = ["", *(_column(name, report) for name, report in reports.items()), "bound"]
    body = [
        [
            name,
            *(
                _cell(find(report), _bound_of(report, bound), least)
                for report in reports.values()
            ),
            "" if bound is None else f"{'≥' if least else '≤'} {bound:g}",
        ]
        for name, find, bound, least in rows
    ]
    return f"## {title}\n\n{_table(header, body)}\n"


def render_bench(title: str, *, of_slides: bool) -> str:
    """Render the figures of `segmoe bench`; a newer report's stand for older ones."""
    rows: dict[str, Report] = {}
    for name in ("bench.json", "slides.bench.json"):
        if (FOLDER / name).is_file():
            found = json.loads((FOLDER / name).read_text("utf-8"))
            rows.update((row["name"], row) for row in found)
    body = [
        [
            row["name"],
            "-" if row["value"] is None else f"{row['value']:.3g} {row['unit']}",
            f"{'≥' if row.get('at_least') else '≤'} {row['bound']:g}",
            "yes" if row["holds"] else "**no**",
            row.get("note", ""),
        ]
        for row in rows.values()
        if of_slides == any(word in row["name"] for word in OF_SLIDES)
    ]
    if not body:
        return f"## {title}\n\nNo figures yet.\n"
    header = ["what", "value", "bound", "holds", "how"]
    return f"## {title}\n\n{_table(header, body)}\n"


def _column(name: str, report: Report) -> str:
    return f"{name} ({report.get('data', '?')} / {report.get('split', '?')})"


def _bound_of(report: Report, bound: float | None) -> float | None:
    """Bounds are promised for busi only."""
    return bound if report.get("data") == "busi" else None


def _cell(value: Any, bound: float | None, at_least: bool) -> str:
    mean = value.get("mean") if isinstance(value, Mapping) else value
    if mean is None:
        return "-"
    if isinstance(mean, int):
        return str(mean)
    text = f"{mean:.3f}"
    if isinstance(value, Mapping) and value.get("low") is not None:
        text += f" [{value['low']:.3f}, {value['high']:.3f}]"
    missed = bound is not None and (mean < bound if at_least else mean > bound)
    return f"**{text}** (missed)" if missed else text


def _table(header: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
