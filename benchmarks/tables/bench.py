"""The ratios of `segmoe bench`: networks, window, slides, training."""

from typing import Any

from tables.markdown import NOTHING, section, table
from tables.sources import not_run, read

FILES = (
    "bench.json",
    "slides.bench.json",
    "training.bench.json",
    "project.bench.json",
    "finetune.bench.json",
)
# Words in the names of figures; the first title that fits takes a figure.
TITLES = (
    ("Project bench", ("project:",), "segmoe bench project"),
    ("A round beside the window", ("finetune:",), "segmoe bench finetune"),
    ("Training bench", ("training", "train"), "segmoe bench training"),
    ("Slides", ("slide", "region"), "segmoe bench slide-view"),
    ("Speed and memory", ("",), "segmoe bench"),
)
TOLD = {
    "Slides": """Made by

    segmoe make-slide --size 80000,100000 --tissue 0.3 --out big.ome.tif
    segmoe bench slide-view --slide big.ome.tif --json > benchmarks/slides.bench.json

Without `--slide` such a slide is made once, in the cache folder. Memory is resident
memory: its largest sum over window and predictor process while slide and dock open and
the first click is answered, less that of an empty viewer before. Lateness is that of a
10 ms timer of the window's thread; the camera moves every 40 ms.""",
    "Project bench": "`segmoe bench project --json > benchmarks/project.bench.json`:"
    " both sides in turns on the same disk, journal and syncing alike.",
    "A round beside the window": "`segmoe bench finetune --json >"
    " benchmarks/finetune.bench.json`. Clicks come 2.6 s apart, so that each finds the"
    " trainer at work; lateness is that of a 10 ms timer of the window's thread.",
    "Training bench": "`segmoe bench training --json > benchmarks/training.bench.json`",
}


def bench() -> str:
    """Return the tables of all figures; a newer file's stand for older ones."""
    rows: dict[str, dict[str, Any]] = {}
    for name in FILES:
        rows.update((row["name"], row) for row in read(name) or [])
    shown: dict[str, list[list[str]]] = {title: [] for title, *_ in TITLES}
    for name, row in rows.items():
        shown[_title_of(name)].append(_cells(row))
    parts = []
    for title, _, command in reversed(TITLES):
        told = TOLD.get(title, "")
        header = ["what", "value", "bound", "holds", "how"]
        body = shown[title]
        filled = table(header, body) if body else not_run(command)
        parts.append(section(title, filled, told).rstrip())
    return "\n\n".join(parts)


def _title_of(name: str) -> str:
    return next(
        title for title, words, _ in TITLES if any(word in name for word in words)
    )


def _cells(row: dict[str, Any]) -> list[str]:
    value = row["value"]
    return [
        row["name"],
        NOTHING if value is None else f"{value:.3g} {row['unit']}",
        f"{'≥' if row.get('at_least') else '≤'} {row['bound']:g}",
        "yes" if row["holds"] else "**no**",
        row.get("note", ""),
    ]
