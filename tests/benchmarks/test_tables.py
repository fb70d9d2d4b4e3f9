"""RESULTS.md is made of whatever reports there are."""

import json

import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Stand in for `benchmarks/`, empty."""
    from tables import costs, sources

    monkeypatch.setattr(sources, "FOLDER", tmp_path)
    monkeypatch.setattr(costs, "FOLDER", tmp_path)
    return tmp_path


def _write(folder, name, content):
    (folder / name).write_text(json.dumps(content))


def _interval(mean):
    return {"mean": mean, "low": mean - 0.1, "high": mean + 0.1}


def test_without_any_file_every_table_says_how_to_make_it(folder):
    from tables.ablations import ablations
    from tables.bench import bench
    from tables.domain import domain
    from tables.papers import papers
    from tables.routing import routing
    from tables.scores import automatic, clicks
    from tables.weights import starter

    for make in (automatic, clicks, domain, ablations, bench):
        assert "Not run yet" in make()
    assert ablations().count("Not run yet") == 5
    assert "No report holds routing" in routing()
    text = papers()
    for title in (
        "UTANet",
        "decoder_interaction",
        "Semi-MoE",
        "ResFormer",
        "MixSearch",
    ):
        assert f"### {title}" in text
    assert "92.00 ± 0.30" in text
    assert text.count("not run yet") == 5
    assert "breast_ultrasound" in starter()


def test_rows_of_ablations_show_figures_texts_and_costs(folder):
    from tables.ablations import ablations
    from tables.papers import papers

    row = {
        "name": "top-k 1",
        "dice": _interval(0.9),
        "data": "glas",
        "split": "test",
        "n": 64,
        "object_f1": _interval(0.8),
        "seeds": 3,
        "epochs": 6,
        "minutes": 2.25,
        "budget": "reduced",
    }
    _write(folder, "ablations.utanet.json", [row, {"name": "bare"}])
    text = ablations()
    assert (
        "| top-k 1 | glas / test, n = 64 | 0.900 [0.800, 1.000] | - |"
        " object_f1 0.800 [0.700, 0.900]; seeds 3; budget reduced |"
        " 6 epochs, 2.2 minutes |"
    ) in text
    assert "| bare | - | - | - | - | - |" in text
    assert "| ours: top-k 1 | glas / test, n = 64 | 0.900" in papers()


def test_the_search_is_shown_with_its_outcome(folder):
    from tables.ablations import ablations
    from tables.papers import papers

    row = {
        "name": "searched",
        "kind": "searched",
        "parameters": 12345,
        "steps": 90,
        "seconds": 120,
        "dice": _interval(0.7),
        "per_data": {"busi": _interval(0.6), "glas": _interval(0.8)},
    }
    content = {
        "command": "python benchmarks/search.py --minutes 17",
        "table": [row],
        "differences": {"random_mean": _interval(0.05)},
        "outcome": "The searched genotype is no better.",
    }
    _write(folder, "search.json", content)
    text = ablations()
    assert "12,345 parameters, 90 steps, 2.0 minutes" in text
    assert "| searched less random_mean | 0.050 [-0.050, 0.150] |" in text
    assert "no better" in text
    assert "busi + glas, held out" in papers()


def test_semi_supervised_runs_stand_beside_their_baseline(folder):
    from tables.papers import papers
    from tables.semi import semi

    figure = {
        "baseline": _interval(0.8),
        "method": _interval(0.9),
        "difference": {**_interval(0.15), "p": 0.031},
    }
    gate = {"gate_less_expert_dice": {**_interval(0.02), "p": None}}
    part = {"dice": figure, "iou": figure, **gate}
    one = {"baseline": "a", "method": "b", "seeds": [0, 1], "validation": part}
    comparisons = {"0.2": {**one, "test": part}, "1": {**one, "seeds": []}}
    _write(folder, "semi_supervised.json", {"comparisons": comparisons})
    text = semi()
    assert (
        "| 20 % of the labels | test | dice | 0.800 [0.700, 0.900] |"
        " 0.900 [0.800, 1.000] | 0.150 [0.050, 0.250] | 0.031 |"
    ) in text
    assert (
        "| test | gate_less_expert_dice | - | - | 0.020 [-0.080, 0.120] | - |" in text
    )
    assert "100 %" not in text  # no seed is done there
    assert "ours: semi_moe_lite, semi-supervised (b)" in papers()
    assert "p 0.031, paired over seeds" in papers()


def test_the_domain_guard_is_told_for_each_foreign_data_set(folder):
    from tables.domain import domain

    row = {
        "in_domain": "busi / test",
        "n": 141,
        "false_alarms": _interval(0.05),
        "against": {
            "glas": {"n": 80, "auroc": _interval(0.99), "withheld": 1.0},
            "stu": {"n": 34, "auroc": _interval(0.6), "similar": True},
        },
    }
    _write(folder, "domain.json", {"breast": row})
    text = domain()
    assert "| glas, n = 80 | 0.990 [0.890, 1.090] | 1.000 |" in text
    assert "stu (similar), n = 34 | 0.600 [0.500, 0.700] | - |" in text


def test_reports_are_judged_by_the_bounds_of_their_data(folder):
    from tables.scores import automatic

    for name, f1 in (("glas", 0.83), ("other", 0.10)):
        report = {
            "data": name,
            "split": "test",
            "weights": "w",
            "segmentation": {"dice": _interval(0.95)},
            "pooled": {"object_f1": _interval(f1)},
        }
        _write(folder, f"{name}.evaluate.json", report)
    text = automatic()
    assert "**0.830 [0.730, 0.930]** (missed)" in text
    assert "| 0.100 [0.000, 0.200] |" in text
    assert "HD95" not in text  # no report has it


def test_shipped_weights_stand_beside_their_paper(folder):
    from tables.papers import papers
    from tables.weights import starter

    report = {
        "data": "glas",
        "split": "test",
        "n": 64,
        "weights": "glands",
        "leaky_groups": "11 of 12",
        "segmentation": {"dice": _interval(0.9), "iou": _interval(0.8)},
        "pooled": {"object_f1": _interval(0.86)},
    }
    _write(folder, "glas.evaluate.json", report)
    _write(folder, "costs.json", {"glands": {"core_hours": 1.1}})
    text = papers()
    assert "ours: semi_moe_lite (`glands`) | glas / test, n = 64 | 0.900" in text
    assert "patients on both sides: 11 of 12" in text
    assert "576 x 40, 1.1 core-hours" in text
    assert "glas / test | 0.900 | 0.860 |" in starter()


def test_core_hours_come_from_the_events_of_a_run(folder):
    from tables.costs import cost_of

    from napari_segmoe.models.card import WeightsCard

    events = [{"event": "start"}, *[{"event": "epoch", "seconds": 1800}] * 3]
    lines = "\n".join(json.dumps(one) for one in events)
    (folder / "made.events.jsonl").write_text(lines)
    card = WeightsCard(
        name="made", model="unet", data={"train": 10}, training={"epochs": 50}
    )
    assert cost_of(card) == "10 x 3, 1.5 core-hours"
    assert cost_of(card.model_copy(update={"name": "other"})) == "10 x 50"


def test_training_slides_and_the_rest_have_tables_of_their_own(folder):
    from tables.bench import bench

    names = ("training step / bare step", "slide: memory", "click to mask")
    rows = [
        {"name": name, "value": 1.0, "unit": "ratio", "bound": 1.1, "holds": index > 0}
        for index, name in enumerate(names)
    ]
    _write(folder, "bench.json", rows)
    text = bench()
    parts = {part.split("\n")[0]: part for part in text.split("## ")[1:]}
    for title, name in zip(
        ("Training bench", "Slides", "Speed and memory"), names, strict=True
    ):
        assert name in parts[title]
    assert "**no**" in parts["Training bench"]


def test_bars_in_cells_do_not_break_a_table():
    from tables.markdown import table

    assert table(["a|b"], [["1|2"]]) == "| a/b |\n| --- |\n| 1/2 |"


def test_the_whole_page_is_written(folder, monkeypatch, capsys):
    monkeypatch.delitem(__import__("sys").modules, "make_results", raising=False)
    import make_results

    monkeypatch.setattr(make_results, "FOLDER", folder)
    (folder / "remarks.md").write_text("## Remarks\n")
    make_results.main()
    text = (folder / "RESULTS.md").read_text()
    assert text.startswith("# Results")
    assert text.endswith("## Remarks\n")
    assert "Wrote" in capsys.readouterr().out
