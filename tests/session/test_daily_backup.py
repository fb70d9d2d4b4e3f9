"""A project that was made on another day is backed up when it is opened."""

import pytest

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.backups import list_backups
from napari_segmoe.project.verification import verify_project
from tests.session.project_fakes import choose, commit_at, open_project, write_images

BACKUP = "napari_segmoe.session.daily_backup.make_daily_backup"


@pytest.fixture
def of_yesterday(tmp_path, monkeypatch):
    (scan,) = write_images(tmp_path / "scans", "one")
    with monkeypatch.context() as past:
        past.setattr("napari_segmoe.project.store.datetime", Yesterday)
        session = open_project(tmp_path / "study.segmoe")
        choose(session, scan)
        commit_at(session, 12, 12)
        session.close()
    return tmp_path / "study.segmoe"


class Yesterday:
    """Stands for `datetime` in the store."""

    @staticmethod
    def now(zone):
        from datetime import datetime, timedelta

        return datetime.now(zone) - timedelta(days=1)


def test_opening_makes_one_a_day(of_yesterday):
    session = open_project(of_yesterday)
    (backup,) = list_backups(of_yesterday)
    assert backup.is_daily
    session.project.close()
    session.project.open(of_yesterday)
    assert list_backups(of_yesterday) == (backup,)
    session.close()
    assert verify_project(of_yesterday).faults == ()


def test_a_project_of_today_has_none(tmp_path):
    session = open_project(tmp_path / "new.segmoe")
    session.close()
    session = open_project(tmp_path / "new.segmoe")
    assert list_backups(tmp_path / "new.segmoe") == ()
    session.close()


def test_what_goes_wrong_stays_in_sight(of_yesterday, monkeypatch):
    def refuse(path):
        raise ProjectError("The disk is full: free space.")

    monkeypatch.setattr(BACKUP, refuse)
    session = open_project(of_yesterday)
    assert session.project.notes[-1] == (
        "The project could not be backed up today. The disk is full: free space."
    )
    assert session.failures == []
    session.close()
