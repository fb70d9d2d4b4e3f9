"""`segmoe finetune`: one guarded round on a project's corrections."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_segmoe.cli import console, train_console
from napari_segmoe.cli.settings import parse_settings

Event = dict[str, Any]


def finetune(  # noqa: PLR0913, PLR0917  (the options are its arguments)
    project: Annotated[Path, typer.Argument(metavar="PROJECT", help="NAME.segmoe.")],
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            "-w",
            help="Start from a shipped name or a file; by default from the project's"
            " current version.",
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="The round ends after so long [10].")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="quick or normal [normal].")
    ] = None,
    replay_data: Annotated[
        Path | None,
        typer.Option(help="Data folder of old images, beside what replay needs none."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads [1].")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Same seed, same answer [0].")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any other setting."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the newest round.")
    ] = False,
    list_settings: Annotated[
        bool, typer.Option("--list-settings", help="Show all settings and end.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print each event as one line of JSON; the last decides."
        ),
    ] = False,
) -> None:
    """Learn from what was corrected; publish it only where it is better for sure."""
    from napari_segmoe.training.finetune.settings import make_settings

    if list_settings:
        _show_settings()
        return
    named = {
        "weights": weights,
        "minutes": minutes,
        "preset": preset,
        "replay_data": replay_data,
        "threads": threads,
        "seed": seed,
    }
    values = parse_settings(settings or (), example="steps=20")
    values |= {key: value for key, value in named.items() if value is not None}
    wanted = make_settings(**values)
    from napari_segmoe.training.finetune.background import step_back
    from napari_segmoe.training.finetune.round import run_round

    step_back(wanted.nice)  # of this process; who calls the function keeps his pace
    events = run_round(project, wanted, resume=resume)
    train_console.print_lines(events) if as_json else _show(events)


def _show(events: Iterator[Event]) -> None:
    with console.make_progress() as progress:
        task = progress.add_task("Reading images", total=None)
        for event in events:
            if event["event"] == "progress":
                place = f"Training {event['epoch'] + 1}"
                progress.update(
                    task,
                    description=f"{place}: loss {event['loss']:.3f}",
                    completed=event["step"],
                    total=event["steps"],
                )
                continue
            for line in _tell(event):
                progress.console.print(line, markup=False, highlight=False)


def _tell(event: Event) -> list[str]:
    """Return an event in sentences."""
    kind = event["event"]
    if kind == "start":
        first = (
            f"{event['round']} learns from {event['objects']} objects of"
            f" {event['images']} images, from {event['weights']}; judged by"
            f" {event['mode'].replace('_', ' ')}, by {event['level']}."
        )
        return [first, *event["notes"]]
    if kind == "epoch" and "validation" in event:
        dice = event["validation"]["dice"]
        return [f"Training {event['epoch'] + 1}: hold-out Dice {dice:.3f}."]
    if kind == "done":
        version, reason = event["published"], event.get("reason", "")
        what = "Nothing is" if version is None else f"Version {version} is"
        return [f"{what} published. {reason}".strip()]
    known = {"memory": event.get("note"), "stopped": "Stopped; --resume goes on."}
    return [str(known[kind])] if kind in known else []


def _show_settings() -> None:
    from napari_segmoe.training.finetune.settings import RoundSettings

    rows = [
        (name, str(about.get_default()), about.description or "")
        for name, about in RoundSettings.model_fields.items()
    ]
    console.show_table("Settings of a round", ("name", "default", "meaning"), rows)
