"""A run's process is known by number, start and computer: no stranger is ended."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from napari_segmoe.training import run_process
from napari_segmoe.training.run_process import (
    MARK,
    claim,
    end_process,
    find_process,
    mark_of,
    read_mark,
    write_mark,
)


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def test_a_mark_leads_back_to_its_process(sleeper, tmp_path):
    write_mark(tmp_path, mark_of(sleeper.pid))
    found = read_mark(tmp_path)
    assert find_process(found).pid == sleeper.pid
    assert end_process(found)
    assert sleeper.wait(10) != 0
    assert find_process(found) is None
    assert not end_process(found)


def test_a_process_that_took_the_number_over_is_never_touched(sleeper):
    earlier = replace(mark_of(sleeper.pid), started=time.time() - 3600)
    assert find_process(earlier) is None
    assert not end_process(earlier)
    assert sleeper.poll() is None


def test_a_process_of_another_computer_is_never_touched(sleeper):
    elsewhere = replace(mark_of(sleeper.pid), machine="another")
    assert not end_process(elsewhere)
    assert sleeper.poll() is None


def test_children_end_with_their_process():
    code = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c',"
        " 'import time; time.sleep(60)']); print(p.pid, flush=True); p.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as it:
        child = mark_of(int(it.stdout.readline()))
        assert end_process(mark_of(it.pid))
        it.wait(10)
    deadline = time.monotonic() + 10
    while find_process(child) is not None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert find_process(child) is None


def test_a_dead_child_that_nobody_reaped_is_dead(sleeper):
    mark = mark_of(sleeper.pid)
    sleeper.kill()
    deadline = time.monotonic() + 10
    while find_process(mark) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert find_process(mark) is None


def test_a_trainer_claims_its_folder(tmp_path):
    claim(tmp_path)
    assert read_mark(tmp_path) == mark_of(os.getpid())
    assert [path.name for path in tmp_path.iterdir()] == [MARK]


def test_the_computer_is_told_by_a_digest_that_names_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(run_process.platform, "node", lambda: "janes-laptop")
    claim(tmp_path)
    assert "jane" not in (tmp_path / MARK).read_text()


def test_a_read_only_folder_is_not_claimed_and_not_an_error(tmp_path):
    claim(tmp_path / "gone")
    assert read_mark(tmp_path / "gone") is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"pid": "x"}', json.dumps({"pid": 1, "started": None})]
)
def test_a_damaged_mark_is_none(tmp_path, text):
    (tmp_path / MARK).write_text(text)
    assert read_mark(tmp_path) is None
