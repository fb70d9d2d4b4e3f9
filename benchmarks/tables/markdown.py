"""Cells and tables, as Markdown; a figure that is not there is a dash."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Report = Mapping[str, Any]
Look = Callable[[Report], Any]
NOTHING = "-"


def look(*keys: str) -> Look:
    """Return a function that follows keys into a report; None where they end."""

    def follow(report: Report) -> Any:
        value: Any = report
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value

    return follow


def mean_of(value: Any) -> Any:
    """Return the figure without its interval."""
    return value.get("mean") if isinstance(value, Mapping) else value


def show(value: Any, *, digits: int = 3) -> str:
    """Return a figure, with its interval where it has one."""
    mean = mean_of(value)
    if mean is None:
        return NOTHING
    if isinstance(mean, bool | str):
        return str(mean)
    if isinstance(mean, int):
        return f"{mean}"
    text = f"{mean:.{digits}f}"
    if isinstance(value, Mapping) and value.get("low") is not None:
        text += f" [{value['low']:.{digits}f}, {value['high']:.{digits}f}]"
    return text


def judge(value: Any, bound: float | None, *, at_least: bool) -> str:
    """Return a figure, marked where it misses its bound."""
    text, mean = show(value), mean_of(value)
    if bound is None or not isinstance(mean, int | float):
        return text
    missed = mean < bound if at_least else mean > bound
    return f"**{text}** (missed)" if missed else text


def table(header: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Return a table; bars in cells are made harmless."""
    lines = [header, ["---"] * len(header), *body]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines
    )


def section(title: str, *parts: str, level: int = 2) -> str:
    """Return a heading and what stands under it."""
    return "\n\n".join([f"{'#' * level} {title}", *(part.strip() for part in parts)])
