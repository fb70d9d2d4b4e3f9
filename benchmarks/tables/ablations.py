"""Rows of ablations.*.json and search.json.

A row of the first is ``{"name", "dice": {"mean", "low", "high"}}`` and whatever
else its script measured; figures are shown, texts are told beside them.
"""

from collections.abc import Mapping
from typing import Any

from tables.markdown import NOTHING, mean_of, section, show, table
from tables.semi import semi
from tables.sources import not_run, read

_SHOWN = {"name", "dice", "iou", "data", "split", "n", "command"}
_COST = {
    "parameters": "{:,} parameters",
    "images": "{} images",
    "epochs": "{} epochs",
    "minutes": "{:.1f} minutes",
    "core_hours": "{:.2f} core-hours",
}


def rows_of(file: str) -> list[dict[str, str]]:
    """Return the rows of a file as texts; none where it is not there."""
    content = read(file)
    if isinstance(content, Mapping):
        content = content.get("rows") or content.get("table") or []
    return [_texts(row) for row in content or []]


def _texts(row: Mapping[str, Any]) -> dict[str, str]:
    where = [str(row[key]) for key in ("data", "split") if row.get(key) is not None]
    place = " / ".join(where)
    if row.get("n") is not None:
        place += f", n = {row['n']}"
    figures = {
        key: value
        for key, value in row.items()
        if key not in _SHOWN and key not in _COST and _is_figure(value)
    }
    words = [
        f"{key} {value}"
        for key, value in row.items()
        if key not in _SHOWN and isinstance(value, str)
    ]
    told = [f"{key} {show(value)}" for key, value in figures.items()]
    return {
        "name": str(row.get("name", "?")),
        "data": place or NOTHING,
        "dice": show(row.get("dice")),
        "iou": show(row.get("iou")),
        "more": "; ".join([*told, *words]) or NOTHING,
        "cost": _cost(row),
    }


def _is_figure(value: Any) -> bool:
    number = mean_of(value)
    return isinstance(number, int | float) and not isinstance(number, bool)


def _cost(row: Mapping[str, Any]) -> str:
    told = [text.format(row[key]) for key, text in _COST.items() if row.get(key)]
    return ", ".join(told) or NOTHING


def search_rows() -> list[tuple[str, str, str, str, str]]:
    """Return (name, data, Dice, more, cost) of the networks of a search."""
    content = read("search.json")
    if content is None:
        return []
    rows = []
    for row in content.get("table", []):
        single = [f"{name} {show(one)}" for name, one in row["per_data"].items()]
        cost = [f"{row['parameters']:,} parameters", f"{row['steps']} steps"]
        cost.append(f"{row['seconds'] / 60:.1f} minutes")
        told = "; ".join(single)
        data = " + ".join(row["per_data"]) + ", held out"
        label = f"{row['name']} ({row['kind']})"
        rows.append((label, data, show(row["dice"]), told, ", ".join(cost)))
    return rows


FILES = {
    "UTANet: plain skips, TA-MoSC, experts asked": (
        "ablations.utanet.json",
        "python benchmarks/ablate_utanet.py --data DATA/glas --run RUN",
    ),
    "decoder_interaction: HMSF, TIM, UPA": (
        "ablations.decoder_interaction.json",
        "python benchmarks/ablate_decoder_interaction.py --data DATA/busi --out RUNS",
    ),
    "ResFormer: DFE, classification": (
        "ablations.resformer.json",
        "python benchmarks/ablate_resformer.py --data DATA/oct_kermany_lesions"
        " --out RUNS",
    ),
}


def ablations() -> str:
    """Return a table a file, and the outcome of the search."""
    parts = [_one(title, *found) for title, found in FILES.items()]
    return section("Ablations", *parts, semi(), _search())


def _one(title: str, file: str, command: str) -> str:
    rows = rows_of(file)
    if not rows:
        return section(title, not_run(command), level=3)
    header = ["", "data", "Dice", "IoU", "more", "cost"]
    body = [
        [row[key] for key in ("name", "data", "dice", "iou", "more", "cost")]
        for row in rows
    ]
    return section(title, table(header, body), f"`{command}`", level=3)


def _search() -> str:
    title, content = "MixSearch: searched, random, U-Net", read("search.json")
    command = "python benchmarks/search.py --data DATA --out RUN"
    if content is None:
        return section(title, not_run(command), level=3)
    header = ["", "data", "Dice, mean of data sets", "of each", "cost"]
    found = content.get("differences", {})
    body = [[f"searched less {name}", show(one)] for name, one in found.items()]
    return section(
        title,
        table(header, search_rows()),
        table(["Dice", "difference"], body),
        str(content.get("outcome", "")),
        f"`{content.get('command', command)}`",
        level=3,
    )
