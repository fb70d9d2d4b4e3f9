"""Damaged slides give pixels or one sentence: no crash, no hang, no flood of memory."""

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.data.slides.made_slides import tissue, write_zarr
from tests.data.slides.mutations import Mutation, mutate

pytest.importorskip("resource", reason="memory is measured on Unix only")

_SECONDS = 30  # of its own: other programs may slow it down
_WAIT_SECONDS = 120
_BYTES = 2 << 30
_PROBE = Path(__file__).with_name("slide_probe.py")
_REPOSITORY = _PROBE.parents[3]


class Prober:
    """A process that opens slides; a new one where it died or hung."""

    def __init__(self, script: Path = _PROBE, byte_limit: int = _BYTES):
        self._script, self._byte_limit = script, byte_limit
        self._child = None

    def probe(self, path: Path) -> dict:
        if self._child is None:
            self._start()
        self._child.stdin.write(f"{path}\n")
        self._child.stdin.flush()
        try:
            line = self._lines.get(timeout=_WAIT_SECONDS)
        except queue.Empty:
            self.close()
            return {"failure": f"no answer within {_WAIT_SECONDS} s"}
        if not line:
            code = self._child.wait()
            self.close()
            return {"failure": f"the process ended with {code}"}
        answer = json.loads(line)
        if answer["seconds"] > _SECONDS:
            answer["failure"] += f" {answer['seconds']:.0f} s"
        if answer["peak_bytes"] > self._byte_limit:
            answer["failure"] += f" {answer['peak_bytes'] / 1e9:.2f} GB"
            self.close()
        return answer

    def close(self):
        if self._child is not None:
            self._child.kill()
            self._child.wait()
            self._child.stdin.close()
            self._child.stdout.close()
            self._child = None

    def _start(self):
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(_REPOSITORY),
        }
        self._child = subprocess.Popen(
            [sys.executable, str(self._script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            cwd=_REPOSITORY,
        )
        self._lines = queue.Queue()
        threading.Thread(
            target=_hand_on, args=(self._child.stdout, self._lines), daemon=True
        ).start()


def _hand_on(stream, lines):
    try:
        for line in stream:
            lines.put(line)
    except ValueError:  # closed meanwhile
        return
    lines.put("")


@pytest.fixture
def prober():
    prober = Prober()
    yield prober
    prober.close()


@pytest.fixture(scope="session")
def slides(wsi_samples, tmp_path_factory) -> list[Path]:
    """The sample slides, and an OME-Zarr of each version."""
    folder = tmp_path_factory.mktemp("whole")
    write_zarr(folder / "four.zarr", tissue(700, 900), version="0.4", chunk=256)
    write_zarr(folder / "five.zarr", tissue(700, 900), version="0.5", chunk=256)
    samples = [
        path
        for path in sorted(wsi_samples.iterdir())
        if path.is_dir() or path.suffix in {".svs", ".tif"}
    ]
    return [*samples, folder / "four.zarr", folder / "five.zarr"]


def run_mutations(slides, prober, folder: Path, seeds: range):
    """Return how the copies came out: pixels, partly, sentence; and the failures."""
    counts = {"pixels": 0, "partly": 0, "sentence": 0}
    failures, slowest, most = [], 0.0, 0
    for seed in seeds:
        mutation: Mutation = mutate(slides[seed % len(slides)], folder, seed=seed)
        answer = prober.probe(mutation.path)
        if answer["failure"]:
            failures.append(f"{mutation.what}: {answer['failure']}")
            continue
        kinds = {outcome == "pixels" for outcome in answer["outcomes"]}
        counts[
            "partly" if len(kinds) == 2 else ["sentence", "pixels"][kinds.pop()]
        ] += 1
        slowest, most = max(slowest, answer["seconds"]), max(most, answer["peak_bytes"])
    return counts, failures, f"slowest {slowest:.1f} s, most {most / 1e6:.0f} MB"


def test_whole_slides_come_out_whole(slides, prober):
    for slide in slides:
        answer = prober.probe(slide)
        assert not answer["failure"], slide.name
        assert set(answer["outcomes"]) == {"pixels"}, slide.name


def test_damaged_copies_give_pixels_or_one_sentence(slides, prober, tmp_path):
    counts, failures, figures = run_mutations(slides, prober, tmp_path, range(40))
    assert not failures, "\n".join(failures)
    assert sum(counts.values()) == 40
    assert counts["sentence"] >= 5, counts
    assert counts["pixels"] >= 5, (counts, figures)


@pytest.mark.slow
def test_two_hundred_damaged_copies(slides, prober, tmp_path, capsys):
    counts, failures, figures = run_mutations(
        slides, prober, tmp_path, range(1000, 1200)
    )
    with capsys.disabled():
        sys.stdout.write(f"\n{counts}, {figures}\n")
    assert not failures, "\n".join(failures)
    assert sum(counts.values()) == 200


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended with -11"),
        ("raise KeyError('not ours')", "KeyError"),
        ("b'1' * (1 << 29)", "GB"),
        ("return ['pixels'] * 2", ""),
    ],
)
def test_the_net_catches_deaths_other_errors_and_too_much_memory(tmp_path, body, found):
    script = tmp_path / "probe.py"
    whole = _PROBE.read_text()
    assert "    is_slide(path)\n" in whole
    script.write_text(whole.replace("    is_slide(path)\n", f"    {body}\n", 1))
    own = Prober(script, byte_limit=1 << 29)
    failure = own.probe(tmp_path)["failure"]
    own.close()
    assert found in failure
    assert bool(found) == bool(failure)
