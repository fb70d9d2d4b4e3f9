"""Show whether the loop learns, and whether the guard keeps out what is wrong.

    python benchmarks/learning_loop.py --data DATA --out WORK [--seeds 5]
        [--cells 'glas-good*'] [--budget-minutes 60]

DATA holds glas, busi and stu_hospital. Simulated users correct images in real
projects, `run_round` of the package learns, and images that no project ever saw are
scored. What is measured is cut into cells (`loop.cells`); one that is done is kept in
WORK, so the script can be stopped and run again. Settings of the rounds were chosen on
training images of glas (`--tune`), never on the images scored here.
"""

import argparse
import fnmatch
import json
import time
from pathlib import Path

from loop.cells import GLAS, STU, Bench, all_cells, run_cell
from loop.material import read_glas, read_stu
from loop.rounds import PLANS
from loop.stain_shift import StainShift, mean_colour
from loop.summary import summarise

RESULT = Path(__file__).with_name("learning_loop.json")
NOTES = (
    "Seeds are cut where time ran out: see cells_done, cells_wanted and each row.",
    "Steps and rate were chosen on training images (--tune). Under earlier ones, the"
    " guard's rule for old images was changed after test seeds 0 and 1 had been kept"
    " back, that for classes after seeds 2 and 3. Swapped classes of seed 3 were once"
    " published: what counts as exchanged was widened; of seeds 5 to 9, run then, none"
    " was published.",
)
COMMAND = "python benchmarks/learning_loop.py --data DATA --out WORK"


def main() -> None:
    """Measure the wanted cells, and write what is known after each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--cells", default="*", help="Names, with * and ?.")
    parser.add_argument("--budget-minutes", type=float, default=float("inf"))
    parser.add_argument("--tune", action="store_true", help="On training images.")
    parser.add_argument("--result", type=Path, default=None)
    options = parser.parse_args()
    bench = make_bench(options.data, options.out, tune=options.tune)
    result = options.result or (options.out / "tune.json" if options.tune else RESULT)
    end = time.monotonic() + 60 * options.budget_minutes
    for cell in all_cells(options.seeds):
        if time.monotonic() > end:
            print("The budget is spent; run again to go on.")
            break
        if fnmatch.fnmatch(cell.name, options.cells):
            found = run_cell(cell, bench)
            print(cell.name, _in_short(found), flush=True)
            write(result, bench, options.seeds)


def make_bench(data: Path, out: Path, *, tune: bool = False) -> Bench:
    """Prepare images once; for tuning those of the training split of glas."""
    out = out / "tune" if tune else out
    out.mkdir(parents=True, exist_ok=True)
    split = "train" if tune else "test"
    return Bench(
        out=out,
        glas=read_glas(data / "glas", out / "shifted", StainShift(), split),
        stu=read_stu(data / "stu_hospital", data / "busi"),
        plan=PLANS,
        base_data={GLAS: data / "glas", STU: data / "busi"},
    )


def write(result: Path, bench: Bench, seeds: int) -> None:
    """Write all cells that are done, and their summary."""
    wanted = [cell.name for cell in all_cells(seeds)]
    places = [bench.out / "cells" / f"{name}.json" for name in wanted]
    cells = [json.loads(one.read_text("utf-8")) for one in places if one.is_file()]
    shift = StainShift()
    report = {
        "command": f"{COMMAND} --seeds {seeds}",
        "notes": NOTES,
        "shift": shift.describe(),
        "mean_colour": _colours(bench),
        "settings": {name: plan.describe() for name, plan in bench.plan.items()},
        "cells_wanted": len(wanted),
        "cells_done": len(cells),
        "summary": summarise(cells),
        "cells": [without_images(one) for one in cells],
    }
    partial = result.with_suffix(".partial")
    partial.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    partial.replace(result)


def without_images(cell: dict) -> dict:
    """Return a cell without the Dice of single images."""
    rounds = [dict(one) for one in cell["rounds"]]
    for one in rounds:
        one.pop("images", None)
        if "kept_back" in one:
            kept = one["kept_back"]
            one["kept_back"] = {name: kept[name] for name in kept if name != "images"}
    return cell | {"rounds": rounds}


def _colours(bench: Bench) -> dict[str, list[float]]:
    plain, shifted = bench.glas.plain[:8], bench.glas.shifted[:8]
    return {
        "before": mean_colour([one.pixels() for one in plain]),
        "after": mean_colour([one.pixels() for one in shifted]),
    }


def _in_short(found: dict) -> str:
    names = ("objects", "published", "new_before", "new_after", "old_before")
    parts = []
    for one in found["rounds"]:
        known = {name: one[name] for name in (*names, "old_after") if name in one}
        if "kept_back" in one:
            known["kept_back"] = one["kept_back"]["new_after"]
        parts.append(json.dumps(known) + " " + str(one.get("reason", ""))[:160])
    return " | ".join(parts) + f" {found['seconds']} s"


if __name__ == "__main__":
    main()
