"""The JSON files that tables are made from; one that is missing says how to make it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1]


def read(name: str) -> Any:
    """Return the content of a file in `benchmarks/`, or None where it is not there."""
    path = FOLDER / name
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def reports(kind: str) -> dict[str, Mapping[str, Any]]:
    """Return the reports NAME.kind.json by their name."""
    return {
        path.name.removesuffix(f".{kind}.json"): json.loads(path.read_text("utf-8"))
        for path in sorted(FOLDER.glob(f"*.{kind}.json"))
    }


def reports_of(weights: str, kind: str = "evaluate") -> list[Mapping[str, Any]]:
    """Return the reports of some weights."""
    return [one for one in reports(kind).values() if one.get("weights") == weights]


def not_run(command: str) -> str:
    """Say that a table has not been filled, and how to."""
    return f"Not run yet: `{command}`."
