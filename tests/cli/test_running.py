"""Exit codes, whole files, and what a command may import."""

import errno
import json
import subprocess
import sys
import warnings

import pytest

from napari_segmoe.cli import app as app_module
from napari_segmoe.cli import files, running
from napari_segmoe.cli.files import write_files, write_report
from napari_segmoe.data.folder import LeakySplitWarning
from napari_segmoe.errors import ConfigError, WeightsError


@pytest.fixture
def failing(monkeypatch, tmp_path):
    """Make every command raise one error."""
    monkeypatch.setattr(running, "user_log_dir", lambda *_: str(tmp_path / "logs"))

    def fail_with(error):
        def command(*_args, **_options):
            raise error

        monkeypatch.setattr(app_module, "app", command)

    return fail_with


def test_a_mendable_error_is_one_sentence_and_2(failing, capsys):
    failing(WeightsError("No weights 'x'.\n  Give a file."))
    assert running.run([]) == 2
    assert capsys.readouterr().err == "segmoe: No weights 'x'. Give a file.\n"


def test_our_warnings_are_sentences_and_those_of_others_keep_their_place(
    monkeypatch, capsys
):
    def command(*_args, **_options):
        warnings.warn("3 of 4 groups leak.", LeakySplitWarning, stacklevel=1)
        warnings.warn("old", UserWarning, stacklevel=1)

    monkeypatch.setattr(app_module, "app", command)
    before = warnings.showwarning
    assert running.run([]) == 0
    said = capsys.readouterr().err
    assert said.startswith("segmoe: 3 of 4 groups leak.\n")
    assert "test_running.py" in said.splitlines()[1]
    assert warnings.showwarning is before


def test_a_full_disk_is_wrong_use_not_a_bug(failing, capsys):
    failing(OSError(errno.ENOSPC, "No space left on device", "/data/out"))
    assert running.run([]) == 2
    assert "/data/out" in capsys.readouterr().err


def test_a_bug_is_1_and_leaves_a_log(failing, capsys, tmp_path):
    failing(ZeroDivisionError("oh"))
    assert running.run([]) == 1
    (log,) = (tmp_path / "logs").iterdir()
    assert "ZeroDivisionError: oh" in log.read_text()
    assert str(log) in capsys.readouterr().err


def test_files_appear_together(tmp_path):
    write_files(tmp_path / "new", {"a": b"1", "b": b"2"})
    assert {p.name: p.read_bytes() for p in (tmp_path / "new").iterdir()} == {
        "a": b"1",
        "b": b"2",
    }


def test_a_full_disk_leaves_nothing_half_written(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"old")
    synced = []

    def full_at_the_second(handle):
        synced.append(handle)
        if len(synced) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full_at_the_second)
    with pytest.raises(OSError, match="No space"):
        write_files(tmp_path, {"a": b"new", "b": b"new"})
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_a_report_is_no_folder(tmp_path):
    with pytest.raises(ConfigError, match="is a folder"):
        write_report(tmp_path, {})
    write_report(tmp_path / "r.json", {"é": 1})
    assert json.loads((tmp_path / "r.json").read_text("utf-8")) == {"é": 1}


def test_help_loads_neither_torch_nor_napari():
    code = (
        "import sys; from napari_segmoe.cli.running import run; run(['--help']);"
        "print({'torch', 'napari', 'qtpy', 'scipy'} & set(sys.modules))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip().endswith("set()")
