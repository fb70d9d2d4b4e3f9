r"""Write RESULTS.md from the JSON files in this folder.

    segmoe evaluate --data DATA/busi --out benchmarks/busi.evaluate.json
    segmoe clicks --data DATA/busi --out benchmarks/busi.clicks.json
    segmoe evaluate --data DATA/glas --weights glands \
        --out benchmarks/glas.evaluate.json
    segmoe bench --json > benchmarks/bench.json
    segmoe bench slide-view --json > benchmarks/slides.bench.json
    segmoe bench training --json > benchmarks/training.bench.json
    segmoe bench project --json > benchmarks/project.bench.json
    segmoe bench finetune --json > benchmarks/finetune.bench.json
    python benchmarks/make_results.py

Each report NAME.evaluate.json or NAME.clicks.json makes one column; ablations.*.json,
domain.json, semi_supervised.json, search.json and learning_loop.json are written by the
scripts of these names. A table whose file is not there says how to make it.
"""

from tables.ablations import ablations
from tables.bench import bench
from tables.domain import domain
from tables.learning import learning
from tables.papers import papers
from tables.routing import routing
from tables.scores import automatic, clicks
from tables.sources import FOLDER
from tables.weights import starter

OPENING = (
    "# Results\n\n"
    "Made by `benchmarks/make_results.py` from the JSON reports in this folder."
    " Intervals are 95 % percentile bootstrap over groups of near-duplicate images or"
    " patients. Fixed threshold 0.5, no test-time augmentation; every figure is that of"
    " the automatic mode or of clicks as a user meets them. DATA is the folder of a"
    " data set, RUN a folder for a run's files."
)


def main() -> None:
    """Write RESULTS.md beside this script."""
    remarks = (FOLDER / "remarks.md").read_text(encoding="utf-8")
    tables = [starter, papers, automatic, clicks, routing, domain, ablations]
    tables += [learning, bench]
    parts = [OPENING, *(make() for make in tables), remarks.strip()]
    text = "\n\n".join(parts) + "\n"
    (FOLDER / "RESULTS.md").write_text(text, encoding="utf-8")
    print(f"Wrote {FOLDER / 'RESULTS.md'}.")


if __name__ == "__main__":
    main()
