"""`segmoe project`: the annotation store from the command line."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from napari_segmoe.cli import console, options
from napari_segmoe.errors import ConfigError, ProjectError

project = typer.Typer(
    name="project",
    help="Make, check, fill and export a project of annotations.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Folder = Annotated[Path, typer.Argument(metavar="PROJECT", help="NAME.segmoe.")]


class ImportedAs(StrEnum):
    """What imported objects count as."""

    CORRECTED = "corrected"


@project.command()
def create(path: Folder) -> None:
    """Make an empty project."""
    from napari_segmoe.project.store import ProjectStore

    with ProjectStore.create(path) as store:
        for note in store.notes:
            console.show_text(note)
    console.show_text(f"Made {path}.")


@project.command()
def verify(path: Folder, as_json: options.AsJson = False) -> None:
    """Check every page, every event's hash, and what follows from the events."""
    from napari_segmoe.project.verification import verify_project

    found = verify_project(path)
    if as_json:
        console.show_json(
            {
                "events": found.events,
                "faults": list(found.faults),
                "is_whole": not found.faults,
            }
        )
    elif not found.faults:
        console.show_text(f"{path.name} is whole: {found.events} events.")
    if found.faults:
        raise ProjectError(f"{path.name} is damaged. {' '.join(found.faults)}")


@project.command()
def history(
    path: Folder,
    image: Annotated[
        str | None, typer.Option(help="Of one image only, as image-0001.")
    ] = None,
    last: Annotated[int, typer.Option(min=0, help="So many; 0: all.")] = 20,
    as_json: options.AsJson = False,
) -> None:
    """Show what was done, oldest first."""
    from napari_segmoe.project.headlines import describe_event
    from napari_segmoe.project.store import ProjectStore

    with ProjectStore.open(path, read_only=True) as store:
        if image is not None:
            store.image(image)
        events = [describe_event(one) for one in store.events(image=image)]
    events = events[-last:] if last else events
    if as_json:
        console.show_json(events)
        return
    rows = [
        (
            str(one["number"]),
            str(one["time_utc"])[:19].replace("T", " "),
            str(one["kind"]),
            str(one["annotator"] or ""),
            str(one["image"] or ""),
            str(len(one["objects"]) or ""),  # type: ignore[arg-type]
        )
        for one in events
    ]
    columns = ("event", "time (UTC)", "what", "who", "image", "objects")
    console.show_table(f"History of {path.name}", columns, rows)


@project.command(name="export")
def export_objects(
    path: Folder,
    out: Annotated[Path, typer.Option(help="New folder.")],
    as_json: options.AsJson = False,
) -> None:
    """Write GeoJSON (QuPath), COCO, CSV and OME-Zarr labels."""
    from napari_segmoe.project.exporting import export_project
    from napari_segmoe.project.store import ProjectStore

    with ProjectStore.open(path, read_only=True) as store:
        files = list(export_project(store, out))
    if as_json:
        console.show_json({"out": str(out), "files": files})
    else:
        console.show_text(f"Wrote {len(files)} files into {out}.")


@project.command(name="import")
def import_objects(  # noqa: PLR0913, PLR0917  (the options are its arguments)
    path: Folder,
    data: Annotated[
        Path | None, typer.Option(help="Data folder whose masks are taken.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="GeoJSON (.geojson), COCO (.json) or OME-Zarr labels."),
    ] = None,
    image: Annotated[
        str | None, typer.Option(help="The image that GeoJSON or labels are about.")
    ] = None,
    kind: Annotated[
        ImportedAs, typer.Option("--as", help="What the objects count as.")
    ] = ImportedAs.CORRECTED,
    split: Annotated[
        str | None, typer.Option(help="Of a data folder; by default all of it.")
    ] = None,
    data_spacing_um: Annotated[
        float | None, typer.Option(min=0, help="Pixel size where files state none.")
    ] = None,
    annotator: Annotated[str | None, typer.Option(help="Pseudonym.")] = None,
    as_json: options.AsJson = False,
) -> None:
    """Take objects of a data folder or a file; they replace an image's objects."""
    from napari_segmoe.project.import_files import import_file
    from napari_segmoe.project.importing import import_data_folder
    from napari_segmoe.project.store import ProjectStore

    if (data is None) == (file is None):
        raise ConfigError("Give --data or --file, one of them.")
    with ProjectStore.open(path) as store:
        if data is not None:
            from napari_segmoe.data.folder import look_at_masks, read_data_folder

            folder = read_data_folder(data)
            items = folder.select(split)
            folder = look_at_masks(folder, items)
            found = list(
                import_data_folder(
                    store,
                    folder,
                    items,
                    data_spacing_um=data_spacing_um,
                    annotator=annotator,
                )
            )
        else:
            assert file is not None
            found = list(import_file(store, file, image=image, annotator=annotator))
    if as_json:
        console.show_json(
            {
                "as": kind.value,
                "images": [
                    {"image": one.image, "objects": one.objects, "notes": one.notes}
                    for one in found
                ],
            }
        )
        return
    for note in dict.fromkeys(note for one in found for note in one.notes):
        console.show_text(note)
    objects = sum(one.objects for one in found)
    console.show_text(f"Took {objects} objects of {len(found)} images.")
