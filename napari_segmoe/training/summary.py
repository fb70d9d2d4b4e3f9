"""Join the figures of repeated runs (seeds, folds) into a mean with its interval.

The interval is Student's t over the runs: it tells how much training again would
change a figure, which the bootstrap interval over one run's images does not.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from napari_segmoe.errors import RunFolderError

Report = Mapping[str, Any]
Figure = dict[str, Any]
CONFIDENCE = 0.95


def t_interval(values: Sequence[float]) -> Figure:
    """Average repeated figures, with the 95 % t interval of the mean.

    Parameters
    ----------
    values : sequence of float
        One figure a run.

    Returns
    -------
    dict
        ``{"mean", "low", "high", "sd", "n", "values"}``. With one run ``low``,
        ``high`` and ``sd`` are None; without any, ``mean`` too.
    """
    array = np.asarray(values, float)
    n = array.size
    figure: Figure = {"mean": None, "low": None, "high": None, "sd": None, "n": n}
    figure["values"] = array.tolist()
    if n:
        figure["mean"] = float(array.mean())
    if n > 1:
        sd = float(array.std(ddof=1))
        reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * sd / np.sqrt(n)
        figure |= {
            "low": float(array.mean() - reach),
            "high": float(array.mean() + reach),
            "sd": sd,
        }
    return figure


def paired_t_interval(first: Sequence[float], second: Sequence[float]) -> Figure:
    """Compare two methods trained with the same seeds: second less first.

    Parameters
    ----------
    first, second : sequences of float
        One figure a seed, in the same order.

    Returns
    -------
    dict
        As `t_interval` of the differences, with ``"p"`` of the two-sided paired t
        test (None for fewer than two seeds or where all differences are equal).

    Raises
    ------
    ValueError
        If the sequences differ in length.
    """
    if len(first) != len(second):
        raise ValueError(
            f"Paired figures need equal counts, not {len(first)} and {len(second)}."
        )
    figure = t_interval(np.subtract(second, first).tolist())
    if not figure["sd"]:
        return figure | {"p": None}
    t = figure["mean"] / (figure["sd"] / np.sqrt(figure["n"]))
    return figure | {"p": float(2 * stats.t.sf(abs(t), figure["n"] - 1))}


def join_reports(reports: Sequence[Report]) -> dict[str, Any]:
    """Join reports of the same shape, number by number.

    Parameters
    ----------
    reports : sequence of mappings
        Read from ``metrics.json`` or the report of ``segmoe evaluate``; nested. A
        figure with its own interval counts with its mean.

    Returns
    -------
    dict
        Of the reports' shape: each number, where all reports have it, is the
        `t_interval` over reports. Texts stay where all agree; lists and what only
        some reports know are left out. ``"runs"`` at the top is their count.

    Raises
    ------
    ValueError
        If there is no report.
    """
    if not reports:
        raise ValueError("There is no report to join.")
    return {**_join(reports), "runs": len(reports)}


def join_files(paths: Sequence[Path | str]) -> dict[str, Any]:
    """Read JSON reports and join them; see `join_reports`.

    Raises
    ------
    RunFolderError
        If a file is missing or holds no JSON object.
    """
    return join_reports([read_report(Path(path)) for path in paths])


def read_report(path: Path) -> dict[str, Any]:
    """Read one JSON report.

    Raises
    ------
    RunFolderError
        If the file is missing or holds no JSON object.
    """
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path} cannot be read as a report: {error}.") from error
    if not isinstance(report, dict):
        raise RunFolderError(f"{path} holds no report: a JSON object was expected.")
    return report


def mean_of(figure: Any) -> float | None:
    """Return a figure as one number, whether it has an interval or not."""
    value = figure.get("mean") if isinstance(figure, Mapping) else figure
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and value is not None else None


def _join(reports: Sequence[Report]) -> dict[str, Any]:
    first, *others = reports
    shared = [key for key in first if all(key in other for other in others)]
    joined = {key: _join_values([report[key] for report in reports]) for key in shared}
    return {key: value for key, value in joined.items() if value is not None}


def _join_values(values: Sequence[Any]) -> Any:
    numbers = [mean_of(value) for value in values]
    if None not in numbers:
        return t_interval([number for number in numbers if number is not None])
    if all(isinstance(value, Mapping) for value in values):
        undefined = any("mean" in value for value in values)  # in some run
        return None if undefined else _join(values) or None
    if all(isinstance(value, str | bool) for value in values):
        return values[0] if all(value == values[0] for value in values) else None
    return None
