"""`segmoe search`: a searched network, beside what chance finds."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_segmoe.cli import console
from napari_segmoe.cli.options import AsJson
from napari_segmoe.cli.settings import parse_settings
from napari_segmoe.errors import ConfigError


def search(  # noqa: PLR0913, PLR0917  (the options are its arguments)
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Data folder: images/, masks/; give several to mix them."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to make.")] = None,
    k: Annotated[int | None, typer.Option(help="Images mixed into one [2].")] = None,
    mu: Annotated[
        float | None, typer.Option(help="Of the mixing weights' Beta(mu, mu) [0.5].")
    ] = None,
    layers: Annotated[
        int | None, typer.Option(help="Layers of the network, odd [7].")
    ] = None,
    width: Annotated[
        int | None, typer.Option(help="Channels of a node at depth 0 [8].")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Of each stage [20].")] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Time for all of it, instead of numbers of epochs."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Same seed, same answer [0].")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any other setting."),
    ] = None,
    list_settings: Annotated[
        bool, typer.Option("--list-settings", help="Show all settings and end.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search in --out.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Search a network on mixed data sets, and train it beside random ones.

    Writes RUN/genotype.json, for `segmoe train --model mixsearch --genotype`, and
    RUN/search.json: Dice of the searched network, of random genotypes and of a U-Net
    after the same training, on images that none of them saw.
    """
    from napari_segmoe.training.search.config import make_search_config

    if list_settings:
        _show_settings()
        return
    named = {"data": data or None, "out": out, "k": k, "mu": mu, "layers": layers}
    named |= {"width": width, "epochs": epochs, "minutes": minutes, "seed": seed}
    values = _stored_values(out, resume=resume) | parse_settings(
        settings or (), example="batch_size=8"
    )
    values |= {key: value for key, value in named.items() if value is not None}
    _check_complete(values)
    config = make_search_config(**values)
    from napari_segmoe.training.search.run import search as run_search

    report = _follow(run_search(config, resume=resume))
    if as_json:
        console.show_json(report)
    else:
        _show_report(report, Path(config.out))


def _stored_values(out: Path | None, *, resume: bool) -> dict[str, Any]:
    """Take the settings of the search that is resumed."""
    stored = None if out is None else out / "config.yaml"
    if not resume or stored is None or not stored.is_file():
        return {}
    from napari_segmoe.training.search.config import load_search_config

    return load_search_config(stored).model_dump()


def _check_complete(values: Mapping[str, Any]) -> None:
    if not values.get("data"):
        raise ConfigError(
            "A search needs at least one data folder: --data DIR, several to mix them."
        )
    if "out" not in values:
        raise ConfigError("A search needs --out, the run folder to make.")


def _show_settings() -> None:
    from napari_segmoe.training.search.config import SearchConfig

    rows = [
        (
            name,
            "needed" if about.is_required() else str(about.get_default()),
            about.description or "",
        )
        for name, about in SearchConfig.model_fields.items()
    ]
    console.show_table("Settings of a search", ("name", "default", "meaning"), rows)


def _follow(events: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """Tell the events on stderr and return the report."""
    report: dict[str, Any] = {}
    with console.make_progress() as progress:
        task = progress.add_task("Reading images", total=None)
        for event in events:
            if event["event"] == "epoch":
                progress.update(
                    task,
                    description=f"{event['phase']}: loss {event['loss']:.3f}",
                    completed=event["epoch"] + 1,
                    total=event["epochs"],
                )
            elif event["event"] == "done":
                report = {key: value for key, value in event.items() if key != "event"}
            else:
                progress.console.print(_tell(event), markup=False, highlight=False)
    return report


def _tell(event: Mapping[str, Any]) -> str:
    if event["event"] == "start":
        parts = (
            f"{one['name']} {one['weights']} + {one['architecture']} images,"
            f" {one['held_out']} held out"
            for one in event["data"]
        )
        return f"On {event['device']}: {'; '.join(parts)}."
    if event["event"] == "plan":
        return (
            f"{event['first']} and {event['second']} epochs of search, then"
            f" {event['train']} of each network."
        )
    if event["event"] == "genotype":
        return f"{event['phase']} took {event['seconds']:.0f} s."
    return (
        f"{event['name']} trained: {event['parameters']:,} parameters,"
        f" {event['seconds']:.0f} s."
    )


def _show_report(report: Mapping[str, Any], out: Path) -> None:
    names = [one["name"] for one in report["data"]]
    rows = [
        (
            row["name"],
            f"{row['parameters']:,}",
            _interval(row["dice"]),
            *(f"{row['per_data'][name]['mean']:.3f}" for name in names),
        )
        for row in report["table"]
    ]
    steps = report["table"][0]["steps"]
    console.show_table(
        f"Dice on held-out images after {steps} steps each; mean of the sets with its"
        " 95 % interval",
        ("network", "parameters", "Dice", *names),
        rows,
    )
    for name, figure in report["differences"].items():
        console.show_text(f"searched - {name}: {_interval(figure, sign='+')}")
    console.show_text(report["outcome"])
    console.show_text(
        f"{out / 'genotype.json'}: train it by `segmoe train --model"
        f" {report['settings']['model']} --genotype {out / 'genotype.json'}`."
    )


def _interval(figure: Mapping[str, float | None], *, sign: str = "") -> str:
    if figure["mean"] is None:
        return "-"
    return (
        f"{figure['mean']:{sign}.3f} [{figure['low']:{sign}.3f},"
        f" {figure['high']:{sign}.3f}]"
    )
