"""`segmoe train`: one training run in its own process."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from napari_segmoe.cli import console, train_console
from napari_segmoe.cli.settings import parse_settings
from napari_segmoe.errors import ConfigError

if TYPE_CHECKING:
    from napari_segmoe.training.config import TrainingConfig


def train(  # noqa: PLR0913, PLR0917  (the options are its arguments)
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Data folder: images/, masks/ and labels.csv. Repeat it to train on"
            " several."
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to make.")] = None,
    model: Annotated[str | None, typer.Option(help="Preset; see `models`.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Training recipe.")] = None,
    genotype: Annotated[
        str | None,
        typer.Option(
            help="Cells of a searched network: a file of `search`, or a published name."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="YAML file with any of the settings.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Any other setting."),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Train so many runs; each validates on one fold."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Train so many runs, a seed each.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in --out.")
    ] = False,
    preview: Annotated[
        bool,
        typer.Option(
            "--preview", help="Draw what the network would see, to --out, and end."
        ),
    ] = False,
    list_settings: Annotated[
        bool, typer.Option("--list-settings", help="Show all settings and end.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each event as one line of JSON.")
    ] = False,
) -> None:
    """Train a network on a data folder; the run folder holds all that comes of it."""
    from napari_segmoe.training.config import make_config

    if list_settings:
        _show_settings()
        return
    named = {"out": out, "model": model, "recipe": recipe, **_folders(data or ())}
    values = _stored_values(out, resume=resume)
    plan = _stored_plan(out, resume=resume)
    values |= plan.get("settings", {})
    folds, seeds = folds or plan.get("folds"), seeds or plan.get("seeds")
    values |= _read_yaml(config) | parse_settings(settings or (), example="epochs=20")
    values |= {key: value for key, value in named.items() if value is not None}
    if genotype is not None:
        options = values.get("model_options") or {}
        values["model_options"] = {**options, "genotype": genotype}
    if preview:
        values.setdefault("out", ".")
    missing = [f"--{key}" for key in ("data", "out") if key not in values]
    if missing:
        raise ConfigError(f"Training needs {' and '.join(missing)}.")
    training_config = make_config(**values)
    if preview:
        _show_preview(training_config, as_json=as_json)
        return
    events = _run(training_config, resume=resume, folds=folds, seeds=seeds)
    train_console.print_lines(events) if as_json else train_console.show_run(events)


def _run(
    config: "TrainingConfig", *, resume: bool, folds: int | None, seeds: int | None
) -> Iterator[dict[str, Any]]:
    if folds is None and seeds is None:
        from napari_segmoe.training.engine import fit

        return fit(config, resume=resume)
    from napari_segmoe.training.repeats import fit_repeats

    return fit_repeats(config, folds=folds or 0, seeds=seeds or 1, resume=resume)


def _show_preview(config: "TrainingConfig", *, as_json: bool) -> None:
    from napari_segmoe.training.preview import write_preview

    path = write_preview(config, config.out)
    if as_json:
        console.show_json({"preview": str(path)})
    else:
        console.show_text(str(path))


def _folders(data: Sequence[Path]) -> dict[str, Any]:
    return {"data": data[0], "more_data": tuple(data[1:])} if data else {}


def _stored_values(out: Path | None, *, resume: bool) -> dict[str, Any]:
    """Take the settings of the run that is resumed, so that they need no repeating."""
    stored = None if out is None else out / "config.yaml"
    return _read_yaml(stored) if resume and stored and stored.is_file() else {}


def _stored_plan(out: Path | None, *, resume: bool) -> dict[str, Any]:
    """Take folds, seeds and settings of the runs that are resumed."""
    stored = None if out is None else out / "repeats.yaml"
    return _read_yaml(stored) if resume and stored and stored.is_file() else {}


def _read_yaml(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read as YAML: {error}.") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} must hold `name: value` lines.")
    return values


def _show_settings() -> None:
    from napari_segmoe.training.config import TrainingConfig

    rows = []
    for name, about in TrainingConfig.model_fields.items():
        default = (
            "needed"
            if about.is_required()
            else str(about.get_default(call_default_factory=True))
        )
        rows.append((name, default, about.description or ""))
    console.show_table("Settings of a run", ("name", "default", "meaning"), rows)
