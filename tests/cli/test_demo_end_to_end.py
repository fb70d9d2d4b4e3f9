"""The main job with the weights that ship."""

import json

from napari_segmoe.cli.running import run


def test_the_first_click_finds_the_phantom_s_lesion(tmp_path, capsys):
    assert run(["demo", "--headless", "--out", str(tmp_path), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["weights"] == "breast_ultrasound"
    assert report["iou"] >= 0.8
    (item,) = report["objects"]
    assert set(item["probabilities"]) == {"benign", "malignant"}
