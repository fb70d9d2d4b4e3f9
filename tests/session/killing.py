"""Kills scripted sessions and compares what comes back with what they said."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from napari_segmoe.project.verification import verify_project
from napari_segmoe.session.project_states import state_of
from tests.session.kill_script import shown
from tests.session.project_fakes import choose, open_project, write_images

MOST_EVENTS_OF_AN_ACTION = 2  # an image that is new brings its class list
ROOT = Path(__file__).resolve().parents[2]


def run_and_kill(script, project, folder, seed, after_s):
    """Run the scripted session, kill it, and return what it said was done."""
    process = subprocess.Popen(
        [sys.executable, "-m", script, project, folder, str(seed)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    # napari prints its notes, "nothing to undo", among them
    first = next(line for line in process.stdout if line.startswith("{"))
    time.sleep(after_s)
    os.kill(process.pid, signal.SIGKILL)
    lines = [first, *process.stdout.read().splitlines(keepends=True)]
    process.wait()
    return [json.loads(line) for line in lines if line.endswith("}\n")]


def check_replay(project, folder, said):
    """What was said is there, and at most the action after it, whole."""
    assert said["unsaved"] == 0
    assert verify_project(project).faults == ()  # the tables follow from the events
    session = open_project(project)
    (note,) = session.project.notes
    assert "was not closed properly" in note
    store, (number, digest) = session.project.store, said["newest"]
    (event,) = [one for one in store.events(since=number - 1) if one.number == number]
    assert event.digest == digest  # and with it every event before
    more = list(store.events(since=number))
    assert len(more) <= MOST_EVENTS_OF_AN_ACTION
    choose(session, folder / said["image"])
    if not more:
        assert shown(session) == said["shown"]
    name = session.project.image_name
    np.testing.assert_array_equal(store.labels(name), session.annotation.labels)
    states = {one.id: state_of(one) for one in session.annotation.records}
    assert states == store.objects(name)
    session.close()


def kill_often(script, tmp_path, times):
    project, folder = tmp_path / "study.segmoe", tmp_path / "scans"
    write_images(folder, "a", "b")
    open_project(project).close()
    rng = np.random.default_rng(0)
    seed, actions = 0, 0
    for _ in range(times):
        said = run_and_kill(script, project, folder, seed, float(rng.uniform(0, 0.6)))
        check_replay(project, folder, said[-1])
        actions += len(said)
        seed = said[-1]["seed"] + 1
    return actions
