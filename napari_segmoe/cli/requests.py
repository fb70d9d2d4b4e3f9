"""What a user asks of images, read from the words of the command line."""

from collections.abc import Sequence
from dataclasses import dataclass

from napari_segmoe.errors import PromptError
from napari_segmoe.types import Box, Click, Modality


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of each image, in full-resolution pixels."""

    clicks: tuple[Click, ...] = ()
    box: Box | None = None
    modality: Modality = Modality.UNKNOWN
    spacing_um: float | None = None
    region: Box | None = None

    def __bool__(self) -> bool:
        """Whether there is any prompt."""
        return bool(self.clicks) or self.box is not None


def read_request(
    clicks: Sequence[str] | None,
    negatives: Sequence[str] | None,
    *,
    box: str | None = None,
    region: str | None = None,
    modality: Modality = Modality.UNKNOWN,
    spacing_um: float | None = None,
) -> Request:
    """Read what is asked from a command's options.

    Raises
    ------
    PromptError
        If words are no numbers, or a box or region is empty.
    """
    given = [read_click(words, positive=True) for words in clicks or ()]
    given += [read_click(words, positive=False) for words in negatives or ()]
    return Request(
        tuple(given),
        read_box(box),
        modality,
        spacing_um,
        read_box(region, name="region"),
    )


def read_click(words: str, *, positive: bool) -> Click:
    """Read a click from "Y,X".

    Raises
    ------
    PromptError
        If the words are not two numbers.
    """
    y, x = _read_numbers(words, 2, "--click Y,X such as --click 120,88")
    return Click(y, x, positive=positive)


def read_box(words: str | None, *, name: str = "box") -> Box | None:
    """Read a box, or a region, from "Y0,X0,Y1,X1", half open.

    Raises
    ------
    PromptError
        If the words are not four numbers, or the box is empty.
    """
    if words is None:
        return None
    y0, x0, y1, x1 = _read_numbers(
        words, 4, f"--{name} Y0,X0,Y1,X1 such as --{name} 10,20,90,120"
    )
    if y1 <= y0 or x1 <= x0:
        raise PromptError(
            f"The {name} {words!r} is empty; Y1 must be above Y0 and X1 above X0."
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
