"""The commands of `segmoe`."""

from typing import Annotated

import typer

from napari_segmoe import __version__
from napari_segmoe.cli import console
from napari_segmoe.cli.bench import bench
from napari_segmoe.cli.clicks import clicks
from napari_segmoe.cli.demo import demo
from napari_segmoe.cli.doctor import doctor
from napari_segmoe.cli.evaluate import evaluate
from napari_segmoe.cli.explain import explain
from napari_segmoe.cli.finetune import finetune
from napari_segmoe.cli.make_slide import make_slide
from napari_segmoe.cli.models import models
from napari_segmoe.cli.project import project
from napari_segmoe.cli.search import search
from napari_segmoe.cli.segment import segment
from napari_segmoe.cli.train import train

app = typer.Typer(
    name="segmoe",
    help="Click a lesion or a gland, get its mask and its class at once. "
    "Research use only, not a medical device.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _show_version(asked: bool) -> None:
    if asked:
        console.show_text(__version__)
        raise typer.Exit


@app.callback()
def segmoe(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show."),
    ] = False,
) -> None:
    """Click a lesion or a gland, get its mask and its class at once.

    Research use only, not a medical device.
    """


for command in (
    demo, models, segment, explain, train, finetune, search, evaluate, clicks,
    make_slide, doctor, bench,
):  # fmt: skip
    app.command()(command)
app.add_typer(project)
