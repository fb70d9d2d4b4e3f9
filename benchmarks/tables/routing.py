"""Who is asked, how much that varies between images, and what each expert is worth."""

from collections.abc import Mapping
from typing import Any

from tables.markdown import NOTHING, section, show, table
from tables.sources import reports

TOLD = (
    "Weights are means over test images ± their deviation between images: 0 says that"
    " every image is treated alike. Mask change is 1 - IoU between the mask and the"
    " mask without the expert, whose share the others take over; where it is small the"
    " expert is not needed for the mask, whatever its weight."
)


def routing() -> str:
    """Return a row for each stage and each expert of the reports that have routing."""
    found = {
        name: report["routing"]
        for name, report in reports("evaluate").items()
        if report.get("routing")
    }
    if not found:
        return section("Routing", "No report holds routing yet.")
    lines = [line for name, one in found.items() for line in _lines(name, one)]
    header = ["report", "images", "stage", "expert", "weight", "mask change without"]
    return section("Routing", table(header, lines), TOLD)


def _lines(name: str, report: Mapping[str, Any]) -> list[list[str]]:
    changes = report["mask_change_without"]
    return [
        [
            name,
            str(report["images"]),
            stage,
            expert,
            f"{mean:.3f} ± {spread:.3f}",
            show(changes[expert]) if expert in changes else NOTHING,
        ]
        for stage, one in report["stages"].items()
        for expert, mean, spread in zip(
            one["experts"], one["mean"], one["sd"], strict=True
        )
        if mean > 0
    ]
