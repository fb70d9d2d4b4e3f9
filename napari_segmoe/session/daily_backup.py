"""A backup of each project once a day, made when it is opened."""

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.backups import Backup, make_daily_backup
from napari_segmoe.session.project_tasks import LANE

if TYPE_CHECKING:
    from napari_segmoe.session.session import Session

_TOPIC = "daily backup"


class DailyBackup:
    """Backs a project up beside the window; what goes wrong is said in the dock.

    Parameters
    ----------
    session : Session
        Runs the job, and knows the open project.
    """

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._project: Path | None = None
        session.project_changed.connect(self._on_project_changed)

    def _on_project_changed(self) -> None:
        path = self._session.project.path
        if path == self._project:
            return
        self._project = path
        self._session.runner.cancel(_TOPIC)
        if path is not None:
            self._start(path)

    def _start(self, project: Path) -> None:
        def job() -> Generator[None, None, Backup | None]:
            yield
            return make_daily_backup(project)

        self._session.runner.submit(
            job,
            topic=_TOPIC,
            lane=LANE,
            on_done=self._take,
            on_error=lambda error: self._fail(error),
        )

    def _take(self, made: Backup | None) -> None:
        if made is not None:
            self._session.project_tasks.changed.emit()  # the list has one more

    def _fail(self, error: Exception) -> None:
        project = self._session.project
        if not isinstance(error, ProjectError):
            self._session.report(error)
        elif project.is_open:  # it stays in sight until it is understood
            failed = f"The project could not be backed up today. {error}"
            project.notes = (*project.notes, failed)
            self._session.project_changed.emit()
