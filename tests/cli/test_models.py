"""`segmoe models`: what is listed, counted and timed."""

import json

import pytest

from napari_segmoe.cli import model_figures
from napari_segmoe.cli.models import list_entries
from napari_segmoe.cli.running import run
from napari_segmoe.models.card import list_weights
from napari_segmoe.models.registry import create_model, list_models

LITE = "decoder_interaction_lite"
# GMACs at 256 of the authors' code by torch's counter (decoder_interaction: Keras).
PUBLISHED_GMACS = {
    "decoder_interaction": 12.09,
    "semi_moe": 196.07,
    "resformer_sequential": 40.83,
    "resformer_parallel": 40.83,
    "mixsearch": 7.71,
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(model_figures, "user_cache_dir", lambda *_: str(folder))
    return folder


def _list(capsys, *words):
    assert run(["models", *words, "--json"]) == 0
    return {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    """All entries by name, counted but never timed."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_figures, "user_cache_dir", lambda *_: str(folder))
        return {entry["name"]: entry for entry in list_entries()}


def test_every_preset_and_all_weights_are_listed_with_counts(entries):
    assert set(entries) == {*list_models(), *(name for name, _ in list_weights())}
    for entry in entries.values():
        assert entry["parameters"] > 1e5
        assert entry["gmacs_256"] > 0.1
        assert entry["seconds_256"] is None
        assert entry["kind"] in ("preset", "weights")
        assert "licence" in entry


def test_lite_presets_have_at_most_six_million_parameters(entries):
    lite = {name: e["parameters"] for name, e in entries.items() if "_lite" in name}
    assert {name: count for name, count in lite.items() if count > 6e6} == {}


@pytest.mark.parametrize("name", PUBLISHED_GMACS)
def test_multiply_adds_are_those_of_the_published_networks(entries, name):
    counted = entries[name]["gmacs_256"]
    assert counted == pytest.approx(PUBLISHED_GMACS[name], rel=0.02)


def test_sharing_experts_costs_less_than_the_published_dispatch(entries):
    plain_skips, published = 24.64, 32.16  # k = 3
    assert plain_skips < entries["utanet"]["gmacs_256"] < published


def test_seconds_are_measured_when_asked_for_and_remembered(capsys, cache):
    assert _list(capsys, LITE)[LITE]["seconds_256"] is None
    measured = _list(capsys, LITE, "--measure")[LITE]["seconds_256"]
    assert measured > 0
    assert _list(capsys, LITE)[LITE]["seconds_256"] == measured


def test_a_damaged_memory_of_seconds_is_no_error(capsys, cache):
    cache.mkdir()
    (cache / "seconds.json").write_text("{]")
    assert _list(capsys, LITE)[LITE]["seconds_256"] is None


def test_seconds_that_cannot_be_kept_are_shown_all_the_same(capsys, cache, monkeypatch):
    cache.write_text("a file where the folder should be")
    monkeypatch.setattr(model_figures, "time_network", lambda *_: 0.25)
    assert _list(capsys, LITE, "--measure")[LITE]["seconds_256"] == 0.25


def test_a_changed_network_is_not_given_the_old_seconds():
    small = model_figures.NetworkSize(parameters=10, gmacs=1.0)
    large = model_figures.NetworkSize(parameters=11, gmacs=1.0)
    keys = {
        model_figures.seconds_key(LITE, options, size)
        for options in ({}, {"classes": 2})
        for size in (small, large)
    }
    assert len(keys) == 4


def test_counted_parameters_are_those_of_the_real_network():
    counted = model_figures.count_network(LITE, {"in_channels": 1, "classes": 4})
    network = create_model(LITE, in_channels=1, classes=4)
    assert counted.parameters == sum(p.numel() for p in network.parameters())


def test_a_network_whose_path_depends_on_its_weights_is_run_to_count(monkeypatch):
    def refuse_to_pretend(model, model_options, *, pretend):
        if pretend:
            raise model_figures.DataDependentOutputException("item")
        return model_figures.NetworkSize(parameters=1, gmacs=2.0)

    monkeypatch.setattr(model_figures, "_count", refuse_to_pretend)
    assert model_figures.count_network(LITE, {}).gmacs == 2.0


def test_a_reader_of_the_table_is_told_how_to_time(capsys, cache):
    assert run(["models", LITE]) == 0
    shown = capsys.readouterr()
    assert LITE in shown.out
    assert "--measure" in shown.err


def test_an_unknown_model_is_wrong_use(capsys):
    assert run(["models", "nothing_like_it"]) == 2
    assert "decoder_interaction" in capsys.readouterr().err
