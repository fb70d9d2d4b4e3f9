"""A killed session loses at most the action that had not ended."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from napari_segmoe.project.store import ProjectStore
from napari_segmoe.project.verification import verify_project
from tests.project import scripts

SESSION = """
import sys
from pathlib import Path
from napari_segmoe.project.store import ProjectStore
from tests.project import scripts
with ProjectStore.open(Path(sys.argv[1])) as store:
    for seed in range(int(sys.argv[2]), 10**6):
        event = scripts.act(store, seed)
        print(seed, event.digest, flush=True)
"""


def _killed_at(path, first_seed, after_s):
    """Run the scripted session, kill it, and return what it had said was done."""
    process = subprocess.Popen(
        [sys.executable, "-c", SESSION, str(path), str(first_seed)],
        stdout=subprocess.PIPE,
        text=True,
    )
    first = process.stdout.readline()
    time.sleep(after_s)
    os.kill(process.pid, signal.SIGKILL)
    rest = process.stdout.read().splitlines()
    process.wait()
    lines = [first, *rest]
    if lines and len(lines[-1].split()) < 2:
        lines.pop()
    return [line.split() for line in lines if len(line.split()[1]) == 64]


def _kill_often(path, times):
    rng = np.random.default_rng(0)
    with ProjectStore.create(path) as store:
        scripts.begin(store)
        done = [event.digest for event in store.events()]
    seed = 0
    for _ in range(times):
        said = _killed_at(path, seed, float(rng.uniform(0, 0.15)))
        done += [digest for _, digest in said]
        with ProjectStore.open(path) as store:
            kept = [event.digest for event in store.events()]
        # All that was said is there; at most one action more, unsaid, came through.
        assert kept[: len(done)] == done
        assert len(kept) - len(done) <= 1
        seed = int(said[-1][0]) + 1 + len(kept) - len(done)
        done = kept
    assert verify_project(path).faults == ()
    return len(done)


def test_nothing_is_lost_when_a_session_is_killed(tmp_path):
    assert _kill_often(tmp_path / "study.segmoe", 6) > 12


@pytest.mark.slow
def test_nothing_is_lost_at_200_kills(tmp_path):
    assert _kill_often(tmp_path / "study.segmoe", 200) > 400
