"""Names of patients, in files' names and in DICOM, are in `local.json` alone."""

import logging
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from napari_segmoe.data.images import read_image
from napari_segmoe.project.backups import make_backup
from napari_segmoe.project.exporting import export_project
from napari_segmoe.project.headlines import describe_event
from napari_segmoe.project.local_files import LOCAL
from napari_segmoe.project.store import DATABASE
from napari_segmoe.project.verification import verify_project
from napari_segmoe.session.worklist import WorklistOrder
from tests.data.test_dicom import write
from tests.session.fakes import make_image, make_pixels
from tests.session.project_fakes import choose, commit_at, open_project

NAMES = ("Zyxmeier", "Annegretchen", "QID-471163")


@pytest.fixture
def scans(tmp_path):
    """A PNG and a DICOM file of one patient, in a folder of that name."""
    folder = tmp_path / "scans of Zyxmeier"
    folder.mkdir()
    drawn = folder / "Zyxmeier_Annegretchen_QID-471163.png"
    Image.fromarray(make_pixels()).save(drawn)
    scan = write(
        folder / "Zyxmeier^Annegretchen.dcm",
        np.maximum(make_pixels(), 40),
        PatientName="Zyxmeier^Annegretchen",
        PatientID="QID-471163",
        PixelSpacing=[0.3, 0.2],
    )
    return drawn, scan


def work_on(session, path):
    if path.suffix == ".png":
        choose(session, path, name=path.stem)
    else:
        image = read_image(path)
        chosen = make_image(
            str(path), pixels=image.pixels, path=path, name=path.stem, spacing_um=None
        )
        session.choose_image(chosen)
    commit_at(session, 12, 12)
    session.prompting.segment_image()
    session.annotation.commit()
    session.correction.grow([1], 1)
    session.undo()
    session.worklist.mark_done()


def files_with_names(folder):
    """Return files that hold a name, in whatever usual encoding, save `local.json`."""
    needles = [
        name.encode(encoding)
        for name in (*NAMES, *map(str.lower, NAMES))
        for encoding in ("utf-8", "utf-16-le", "utf-16-be")
    ]
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and path.name != LOCAL
        and (
            any(needle in path.read_bytes() for needle in needles)
            or any(name in path.name for name in NAMES)
        )
    ]


def test_no_name_is_in_the_project_its_copies_exports_or_logs(tmp_path, scans, caplog):
    caplog.set_level(logging.DEBUG)
    project = tmp_path / "study.segmoe"
    session = open_project(project)
    session.worklist.add([scans[0].parent])
    for path in scans:
        work_on(session, path)
    session.worklist.sort(WorklistOrder.UNCERTAIN)
    store = session.project.store
    list(export_project(store, tmp_path / "export"))
    make_backup(project)
    told = [str(describe_event(one)) for one in store.events()]
    session.close()
    again = open_project(project)
    notes = (*again.project.notes, *verify_project(project).faults)
    again.close()
    assert len({row.group for row in _records(project)} - {None}) == 1  # the DICOM file
    for folder in (project, tmp_path / "export"):
        assert any(folder.rglob("*"))
        assert files_with_names(folder) == []
    spoken = "\n".join((*told, *notes, caplog.text))
    assert not any(name in spoken for name in NAMES)
    with closing(sqlite3.connect(project / DATABASE)) as connection:
        dump = "\n".join(connection.iterdump())
    assert not any(name in dump for name in NAMES)
    assert "Zyxmeier" in (project / LOCAL).read_text()  # the test sees names at all


def _records(project):
    session = open_project(project)
    records = session.project.store.images()
    session.close()
    return records


@pytest.mark.slow
def test_no_name_is_in_the_runs_and_weights_of_a_round(tmp_path, scans):
    from napari_segmoe.training.finetune.round import run_round
    from tests.training.finetune.test_round import settings
    from tests.training.finetune.tiny import save_tiny

    project = tmp_path / "study.segmoe"
    session = open_project(project)
    for number in range(6):
        copy = scans[0].with_name(f"Zyxmeier {number}.png")
        pixels = np.roll(make_pixels(), number // 2, axis=1)
        pixels[0, 0] = number
        Image.fromarray(pixels).save(copy)
        work_on(session, copy)
    session.close()
    weights = save_tiny(tmp_path / "tiny.safetensors", classes=("benign", "malignant"))
    *_, done = run_round(project, settings(weights, steps=4))
    assert done["event"] == "done"
    assert (project / "runs").is_dir()
    assert files_with_names(project) == []
