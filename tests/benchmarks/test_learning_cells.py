"""Cells of the learning benchmark: kept when done, begun anew when cut, all told."""

import json

import pytest


@pytest.fixture
def bench(tmp_path):
    from loop.cells import Bench
    from loop.rounds import PLANS

    return Bench(out=tmp_path, glas=None, stu=None, plan=PLANS, base_data={})


def _count(monkeypatch, answer):
    from loop import cells

    calls = []

    def measure(cell, bench):
        calls.append(cell.name)
        bench.folder(cell).mkdir(parents=True)
        if isinstance(answer, BaseException):
            raise answer
        return {"rounds": [answer]}

    monkeypatch.setattr(cells, "ARMS", {"good": measure})
    return calls


def test_a_cell_that_is_done_is_not_measured_again(bench, monkeypatch):
    from loop.cells import Cell, run_cell

    calls = _count(monkeypatch, {"published": True})
    cell = Cell("glas", "good", 20, 3)
    first, second = run_cell(cell, bench), run_cell(cell, bench)

    assert calls == ["glas-good-20-3"]
    assert first == second
    assert first["seed"] == 3
    assert not bench.folder(cell).exists()


def test_a_cell_that_was_cut_begins_anew(bench, monkeypatch):
    from loop.cells import Cell, run_cell

    cell = Cell("glas", "good", 20, 0)
    _count(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        run_cell(cell, bench)
    assert not bench.result(cell).exists()
    assert bench.folder(cell).exists()

    _count(monkeypatch, {"published": False})
    assert run_cell(cell, bench)["rounds"] == [{"published": False}]


def test_cells_are_all_different_and_the_promises_come_first():
    from loop.cells import ARMS, all_cells

    cells = list(all_cells(5))
    assert len({one.name for one in cells}) == len(cells)
    assert {one.arm for one in cells} == set(ARMS)
    first = {(one.arm, one.seed) for one in cells[:20]}
    arms = ("good", "inverted", "shifted_20px", "swapped_classes")
    assert first == {(arm, seed) for arm in arms for seed in range(5)}


def test_the_settings_are_told_without_a_path(bench):
    from loop.rounds import PLANS

    told = json.dumps({name: plan.describe() for name, plan in PLANS.items()})
    assert "learning_rate" in told
    assert "/" not in told
