"""`segmoe evaluate` as a process of its own, on real glands with shipped weights."""

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_glands_are_scored_in_every_way(glas, tmp_path):
    out = tmp_path / "glas.json"
    command = [sys.executable, "-m", "napari_segmoe", "evaluate", "--data", str(glas)]
    command += ["--weights", "glands", "--limit", "6", "--per-image", "--json"]
    done = subprocess.run(
        [*command, "--out", str(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("segmoe: 11 of 16 groups")
    assert len(done.stderr.splitlines()) == 1
    report = json.loads(done.stdout)
    assert report == json.loads(out.read_text())
    assert len(report["images"]) == report["n"] == 6
    means = {name: one["mean"] for name, one in report["segmentation"].items()
             if isinstance(one, dict) and "mean" in one}  # fmt: skip
    assert means["dice"] > 0.85
    assert means["distance_sign"] > 0.85
    assert means["distance_rank"] > 0.6
    assert 0 < means["boundary_f1"] < 1
    assert 0 < means["asd"] < means["hd95"]
    assert report["pooled"]["object_f1"]["mean"] > 0.7
    changes = report["routing"]["mask_change_without"]
    assert set(changes) == {"mask expert", "distance expert", "boundary expert"}
    assert changes["distance expert"]["mean"] > changes["mask expert"]["mean"]
