"""A scripted, seeded session, to be killed at any point: ``PROJECT SCANS SEED``.

Before each action it says that it begins, after it what the project then holds.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np

from tests.session.project_fakes import choose, open_project


def newest(store):
    """Return number and hash of the newest event: the hash covers all before it."""
    number = store.last_number()
    (event,) = store.events(since=number - 1)
    return [number, event.digest]


def shown(session):
    """Return a hash of what the window has of the present image."""
    records = [
        (one.id, one.class_id, one.state, one.provenance, one.measured.box)
        for one in session.annotation.records
    ]
    entries = session.classes.table.entries
    labels = session.annotation.labels.tobytes().hex()
    parts = (labels, records, sorted(session.correction.tiles), entries)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def act(session, scans, seed):
    """Do one seeded action, as a user might."""
    rng = np.random.default_rng(seed)
    ids = [one.id for one in session.annotation.records]
    actions = [
        lambda: choose(session, scans[rng.integers(len(scans))]),
        lambda: _commit(session, rng),
        lambda: _commit(session, rng),
        lambda: _paint(session, rng, ids),
        lambda: _paint(session, rng, ids),
        lambda: session.undo(),
        lambda: session.redo(),
        lambda: session.classes.make(f"class {seed}"),
        lambda: session.correction.finish_tile(tuple(_box(rng))),
    ]
    if ids:
        one = int(rng.choice(ids))
        actions += [
            lambda: session.correction.accept(ids),
            lambda: session.correction.grow([one], 1),
            lambda: session.correction.smooth([one]),
            lambda: session.correction.merge(ids[:2]),
            lambda: session.annotation.assign_class([one], int(rng.integers(1, 3))),
            lambda: session.annotation.delete([one]),
        ]
    actions[rng.integers(len(actions))]()


def _commit(session, rng):
    session.prompting.reject()
    y, x = ((12, 12), (40, 40))[rng.integers(2)]
    session.prompting.add_click(y, x)
    if session.prediction is not None and session.prediction.mask.any():
        session.annotation.commit()


def _paint(session, rng, ids):
    y0, x0, y1, x1 = _box(rng)
    painted = session.annotation.labels.copy()
    number = rng.choice([*ids, max(ids, default=0) + 1, 0])
    painted[y0:y1, x0:x1] = number
    session.annotation.correct(painted)


def _box(rng):
    y0, x0 = (int(one) for one in rng.integers(0, 50, 2))
    return y0, x0, y0 + int(rng.integers(2, 14)), x0 + int(rng.integers(2, 14))


def say(session, seed):
    """Tell on standard output what is done and stored."""
    done = {
        "seed": seed,
        "image": session.image.path.name,
        "newest": newest(session.project.store),
        "unsaved": session.project.unsaved,
        "shown": shown(session),
    }
    sys.stdout.write(json.dumps(done) + "\n")
    sys.stdout.flush()


def main():
    project, folder, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    scans = sorted(folder.glob("*.png"))
    session = open_project(project)
    choose(session, scans[seed % len(scans)])
    session.failed.connect(lambda error: sys.exit(f"failed: {error}"))
    while True:
        seed += 1
        act(session, scans, seed)
        say(session, seed)


if __name__ == "__main__":
    main()
