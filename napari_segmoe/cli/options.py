"""Options that several commands share, and how prompts are read from words."""

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_segmoe.errors import PromptError
from napari_segmoe.types import Box, Click, Modality

DEFAULT_WEIGHTS = "breast_ultrasound"

AsJson = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda:N or mps.")]
Threads = Annotated[
    int | None, typer.Option(min=1, help="CPU threads; by default cores - 1.")
]
Weights = Annotated[
    str, typer.Option("--weights", "-w", help="A shipped name or a .safetensors file.")
]
Data = Annotated[
    Path, typer.Option(help="Data folder: images/, masks/ and labels.csv.")
]
Split = Annotated[
    str,
    typer.Option(help="Splits, separated by commas; test takes all that begin so."),
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Take only the first so many images.")
]
Seed = Annotated[int, typer.Option(min=0, help="Same seed, same answer.")]
Clicks = Annotated[
    list[str] | None, typer.Option(metavar="Y,X", help="This is the object.")
]
NegativeClicks = Annotated[
    list[str] | None, typer.Option(metavar="Y,X", help="This is not.")
]
BoxWords = Annotated[
    str | None, typer.Option(metavar="Y0,X0,Y1,X1", help="The object lies in here.")
]
ImageModality = Annotated[
    Modality, typer.Option(help="What made the images, where the files are silent.")
]
ReportFile = Annotated[
    Path | None, typer.Option("--out", help="JSON file to write the report to.")
]


def open_predictor(weights: str, *, device: str, threads: int | None) -> Any:
    """Load weights onto a device; torch is imported here and not before.

    Raises
    ------
    WeightsError
        If there are no such weights, or they are damaged.
    DeviceError
        If the device is absent.
    """
    from napari_segmoe.inference.predictor import load_predictor

    return load_predictor(weights, device=device, threads=threads)


def read_click(words: str, *, positive: bool) -> Click:
    """Read a click from "Y,X".

    Raises
    ------
    PromptError
        If the words are not two numbers.
    """
    y, x = _read_numbers(words, 2, "--click Y,X such as --click 120,88")
    return Click(y, x, positive=positive)


def read_box(words: str | None) -> Box | None:
    """Read a box from "Y0,X0,Y1,X1", half open.

    Raises
    ------
    PromptError
        If the words are not four numbers, or the box is empty.
    """
    if words is None:
        return None
    y0, x0, y1, x1 = _read_numbers(
        words, 4, "--box Y0,X0,Y1,X1 such as --box 10,20,90,120"
    )
    if y1 <= y0 or x1 <= x0:
        raise PromptError(
            f"The box {words!r} is empty; Y1 must be above Y0 and X1 above X0."
        )
    return Box(y0, x0, y1, x1)


def check_clicks(clicks: tuple[Click, ...], height: int, width: int) -> None:
    """Refuse clicks outside an image.

    Raises
    ------
    PromptError
        Naming the first click that lies outside.
    """
    for click in clicks:
        inside = -0.5 <= click.y < height - 0.5 and -0.5 <= click.x < width - 0.5
        if not inside:
            raise PromptError(
                f"The click at y={click.y:g}, x={click.x:g} lies outside the image of "
                f"{height}x{width} px. Give y below {height} and x below {width}."
            )


def _read_numbers(words: str, count: int, usage: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in words.split(","))
    except ValueError as error:
        raise PromptError(
            f"{words!r} is not a list of numbers; use {usage}."
        ) from error
    finite = all(abs(number) < float("inf") for number in numbers)
    if len(numbers) != count or not finite:
        raise PromptError(f"{words!r} is not {count} numbers; use {usage}.")
    return numbers
