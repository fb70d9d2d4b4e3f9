"""The manifest is one, valid, and everything it names can be imported."""

from importlib.resources import files
from pathlib import Path

import pytest
from npe2 import PluginManifest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def manifest():
    return PluginManifest.from_distribution("napari-segmoe")


def test_every_command_can_be_imported(manifest):
    manifest.validate_imports()


def test_contributions_name_commands_that_exist(manifest):
    parts = manifest.contributions
    known = {command.id for command in parts.commands}
    used = [*parts.readers, *parts.sample_data, *parts.widgets, *parts.writers]
    assert {one.command for one in used} <= known
    assert len(parts.sample_data) == 4


def test_the_dock_is_named_segmoe(manifest):
    assert manifest.display_name == "SegMoE"
    assert [widget.display_name for widget in manifest.contributions.widgets] == [
        "SegMoE"
    ]


def test_the_links_at_the_top_show_what_is_in_the_package():
    package = files("napari_segmoe")
    assert (ROOT / "napari.yaml").read_text() == (package / "napari.yaml").read_text()
    icon = package / "resources" / "icon.svg"
    assert (ROOT / "resources" / "icon.svg").read_bytes() == icon.read_bytes()
    assert icon.read_text().startswith("<svg")
