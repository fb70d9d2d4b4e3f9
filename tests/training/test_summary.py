"""Joining the figures of repeated runs."""

import json

import pytest
from scipy import stats

from napari_segmoe.errors import RunFolderError
from napari_segmoe.training.summary import (
    join_files,
    join_reports,
    paired_t_interval,
    t_interval,
)


def test_three_runs_worked_by_hand():
    figure = t_interval([0.8, 0.9, 1.0])
    reach = 4.302653 * 0.1 / 3**0.5  # t of 2 degrees of freedom
    assert figure["mean"] == pytest.approx(0.9)
    assert figure["sd"] == pytest.approx(0.1)
    assert (figure["low"], figure["high"]) == pytest.approx((0.9 - reach, 0.9 + reach))
    assert (figure["n"], figure["values"]) == (3, [0.8, 0.9, 1.0])


def test_one_run_has_no_interval_and_no_run_no_mean():
    assert t_interval([0.5])["mean"] == 0.5
    assert t_interval([0.5])["low"] is None
    assert t_interval([])["mean"] is None


def test_paired_runs_agree_with_scipy():
    first, second = [0.70, 0.74, 0.69, 0.71], [0.75, 0.77, 0.70, 0.76]
    figure = paired_t_interval(first, second)
    expected = stats.ttest_rel(second, first)
    interval = expected.confidence_interval(0.95)
    assert figure["p"] == pytest.approx(expected.pvalue)
    assert (figure["low"], figure["high"]) == pytest.approx(tuple(interval))


def test_paired_runs_must_be_as_many():
    with pytest.raises(ValueError, match="equal counts"):
        paired_t_interval([1.0], [1.0, 2.0])
    assert paired_t_interval([1.0, 1.0], [1.0, 1.0])["p"] is None


def test_reports_join_number_by_number_and_keep_what_agrees():
    reports = [
        {
            "segmentation": {"dice": {"mean": d, "low": 0, "high": 1}, "iou_pooled": d},
            "classification": None,
            "data": "busi",
            "split": split,
            "images": [1, 2],
        }
        for d, split in ((0.6, "a"), (0.8, "b"))
    ]
    joined = join_reports(reports)
    assert joined["segmentation"]["dice"]["mean"] == pytest.approx(0.7)
    assert joined["segmentation"]["iou_pooled"]["values"] == [0.6, 0.8]
    assert joined["data"] == "busi"
    assert joined["runs"] == 2
    assert {"split", "classification", "images"}.isdisjoint(joined)


def test_a_figure_that_one_run_lacks_is_left_out():
    undefined = {"mean": None, "low": None, "high": None}
    defined = {"mean": 2.0, "low": 1.0, "high": 3.0}
    joined = join_reports([{"hd95": undefined, "n": 3}, {"hd95": defined, "n": 3}])
    assert "hd95" not in joined
    assert joined["n"]["mean"] == 3


def test_files_are_joined_and_damaged_ones_named(tmp_path):
    for seed in (0, 1):
        (tmp_path / f"{seed}.json").write_text(json.dumps({"dice": 0.5 + seed / 10}))
    paths = [tmp_path / "0.json", tmp_path / "1.json"]
    assert join_files(paths)["dice"]["mean"] == pytest.approx(0.55)
    (tmp_path / "1.json").write_text("[1]")
    with pytest.raises(RunFolderError, match="JSON object"):
        join_files(paths)
    with pytest.raises(RunFolderError, match="cannot be read"):
        join_files([tmp_path / "absent.json"])
