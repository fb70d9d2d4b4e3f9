"""Search a network on busi, cvc_clinicdb and glas, and judge it.

    python benchmarks/search.py --data DATA --out RUN [--minutes 17] [--resume]

Mixes the three data folders under DATA, searches in two stages, then trains the found
genotype, three random ones and a U-Net of like size with equal steps on equal batches,
and writes the table to benchmarks/search.json. Only the train splits are read: a fifth
of their groups is held out and scores the networks. The same by the command line:

    segmoe search --data DATA/busi --data DATA/cvc_clinicdb --data DATA/glas --out RUN
        --minutes 17 --set threads=1
"""

import argparse
import json
from pathlib import Path

from napari_segmoe.training.search.config import load_search_config, make_search_config
from napari_segmoe.training.search.run import search

DATA_SETS = ("busi", "cvc_clinicdb", "glas")
SETTINGS = {"k": 2, "mu": 0.5, "input_px": 96, "width": 8, "layers": 7, "seed": 0}
RESULT = Path(__file__).with_name("search.json")


def main() -> None:
    """Run the search and keep its report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=17)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--result", type=Path, default=RESULT)
    options = parser.parse_args()
    if options.resume:
        config = load_search_config(options.out / "config.yaml")
    else:
        config = make_search_config(
            **SETTINGS,
            data=tuple(options.data / name for name in DATA_SETS),
            out=options.out,
            minutes=options.minutes,
            threads=options.threads,
        )
    report = {}
    for event in search(config, resume=options.resume):
        print(json.dumps(event), flush=True)
        report = event
    report.pop("event")
    command = (
        "python benchmarks/search.py --data DATA --out RUN"
        f" --minutes {config.minutes:g} --threads {config.threads}"
    )
    options.result.write_text(
        json.dumps({"command": command, **report}, indent=1) + "\n", encoding="utf-8"
    )


if __name__ == "__main__":
    main()
