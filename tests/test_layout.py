"""The house itself: sizes, names, what imports load, and README's two commands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "napari_segmoe"
MODULES = sorted(
    path
    for folder in (PACKAGE, REPOSITORY / "tests", REPOSITORY / "benchmarks")
    for path in folder.rglob("*.py")
)
HEAVY = {"torch", "napari", "qtpy", "superqt", "magicgui", "PySide6", "monai"}


def _loaded_by(statement):
    """Return the top-level modules that a fresh interpreter has after a statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules, sep='\\n')"
    answer = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    return {name.partition(".")[0] for name in answer.stdout.split()}


def _bash_blocks():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    return re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def test_no_module_is_longer_than_400_lines():
    counts = {path: len(path.read_text("utf-8").splitlines()) for path in MODULES}
    long = {str(path): count for path, count in counts.items() if count > 400}
    assert long == {}


def test_modules_are_named_after_what_they_do():
    vague = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [str(path) for path in MODULES if path.stem in vague] == []


def test_importing_the_package_loads_nothing_heavy():
    assert _loaded_by("import napari_segmoe") & HEAVY == set()


def test_importing_the_package_loads_no_numpy_before_it_is_needed():
    assert "numpy" not in _loaded_by("import napari_segmoe")


@pytest.mark.parametrize("module", ["models.card", "session.session", "data.images"])
def test_a_room_without_torch_loads_none(module):
    loaded = _loaded_by(f"import napari_segmoe.{module}")
    assert loaded & {"torch", "monai", "lightning_fabric"} == set()


def test_the_session_loads_no_window():
    loaded = _loaded_by("import napari_segmoe.session.session")
    assert loaded & {"napari", "qtpy", "PySide6", "vispy"} == set()


def test_opening_the_dock_loads_no_torch():
    statement = "import napari_segmoe.widgets.main_widget"
    assert "torch" not in _loaded_by(statement)


def test_public_names_are_handed_on():
    import napari_segmoe

    for name in napari_segmoe.__all__:
        assert getattr(napari_segmoe, name) is not None, name


@pytest.mark.parametrize("link", ["napari.yaml", "resources"])
def test_the_top_level_links_lead_into_the_package(link):
    assert (REPOSITORY / link).resolve() == PACKAGE / link
    assert (PACKAGE / link).exists()


def test_readme_opens_with_two_commands_of_one_line_each():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    before_first_heading = text.partition("\n## ")[0]
    assert before_first_heading.count("```bash") == 2
    demo, tests = _bash_blocks()[:2]
    assert demo.count("\n") == tests.count("\n") == 1
    assert demo.rstrip().endswith("segmoe demo")
    assert tests.rstrip().endswith("&& pytest")


def test_ci_runs_the_second_command_of_the_readme():
    answer = subprocess.run(
        [REPOSITORY / ".ci" / "run", "--print"],
        check=True,
        capture_output=True,
        text=True,
    )
    assert answer.stdout == _bash_blocks()[1]


def test_readme_shows_only_commands_that_exist():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`segmoe ([a-z]+)", text))
    help_text = subprocess.run(
        [sys.executable, "-m", "napari_segmoe", "--help"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert {name for name in named if name not in help_text} == set()


def test_pictures_of_the_readme_exist():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert pictures
    assert [name for name in pictures if not (REPOSITORY / name).is_file()] == []


def test_every_pinned_version_is_exact():
    lines = (REPOSITORY / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert "torch==2.13.0" in pins
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []
