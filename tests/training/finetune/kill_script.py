"""Kill rounds with SIGKILL at chosen events, let them go on, and print how they end.

``python -m tests.training.finetune.kill_script FOLDER POINT...``; a point is a number
of events, or the name of the event after whose logging the process dies.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

import torch

from napari_segmoe.project.store import ProjectStore
from napari_segmoe.project.verification import verify_project
from napari_segmoe.training.finetune.round import run_round
from napari_segmoe.training.finetune.settings import make_settings
from tests.training.finetune.tiny import make_project, save_tiny

SETTINGS = {
    "steps": 10,
    "batch_size": 4,
    "learning_rate": 0.02,
    "replay_weight": 1.0,
    "validate_every": 2,
    "nice": 0,
    "device": "cpu",
    "precision": "32-true",
    "old_domain_loss": 1.0,
}


def follow(project, weights, *, dies_at=None, resume=False):
    """Run a round in a child process; return its last event."""
    out = project.with_name("last.json")
    child = os.fork()
    if child == 0:
        last = None
        settings = make_settings(weights=str(weights), **SETTINGS)
        for number, event in enumerate(run_round(project, settings, resume=resume)):
            last = event
            if dies_at in (str(number), event["event"]):
                os.kill(os.getpid(), signal.SIGKILL)
        out.write_text(json.dumps(last))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return None
    return json.loads(out.read_text())


def describe(project, done):
    with ProjectStore.open(project) as store:
        kinds = [event.kind.value for event in store.events()]
        versions = [one.number for one in store.models()]
        states = [one.state for one in store.runs()]
    folder = project / "runs" / "round-0001"
    told = [
        json.loads(one) for one in (folder / "events.jsonl").read_text().splitlines()
    ]
    steps = [(e["epoch"], e["step"]) for e in told if e["event"] == "progress"]
    return {
        "done": done,
        "publishes": kinds.count("publish"),
        "versions": versions,
        "states": states,
        "steps": steps,
        "faults": list(verify_project(project).faults),
    }


def main(folder, points):
    torch.set_num_threads(1)
    weights = save_tiny(folder / "tiny.safetensors")
    original = make_project(folder / "p.segmoe")
    found = {}
    for point in ("never", *points):
        project = folder / f"copy-{point}" / "p.segmoe"
        shutil.copytree(original, project)
        done = follow(project, weights, dies_at=point)
        if done is None:
            done = follow(project, weights, resume=True)
        found[point] = describe(project, done)
        shutil.rmtree(project.parent)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
