"""Class figures come from patients that the weights have not learnt from."""

from types import SimpleNamespace

import pytest

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.training.config import make_config
from napari_segmoe.training.run_data import describe_division
from napari_segmoe.training.run_parts import divide_items
from napari_segmoe.training.unseen_groups import unseen_groups

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def leaky_folder(tiny_folder, tmp_path_factory):
    """Return a published split in which most patients are on both sides."""
    path = tmp_path_factory.mktemp("leaky") / "leaky"
    path.mkdir()
    for name in ("images", "masks"):
        (path / name).symlink_to(tiny_folder / name)
    lines = (tiny_folder / "labels.csv").read_text().splitlines()
    rows = [lines[0]]
    for number, line in enumerate(lines[1:]):
        file, class_name = line.split(",")[:2]
        group = f"patient-{number // 2}" if number < 16 else f"new-{number}"
        rows.append(f"{file},{class_name},{('train', 'test')[number % 2]},{group}")
    rows[-2] = rows[-2].replace(",train,", ",test,")
    (path / "labels.csv").write_text("\n".join(rows) + "\n")
    (path / "README.md").write_text("Official split of nobody.\n")
    return read_data_folder(path)


def _card(folder, config, **changes):
    train, validation = divide_items(folder, config)
    split = describe_division(train, validation, config) | changes
    card = SimpleNamespace(data={"folder": folder.path.name}, split=split)
    return card, {item.group for item in train}, {item.group for item in validation}


@pytest.fixture
def config(leaky_folder, tmp_path):
    return make_config(
        data=leaky_folder.path, out=tmp_path, validation_fraction=0.3, seed=3
    )


def test_patients_of_the_training_part_have_no_say(leaky_folder, config):
    card, learnt, held_out = _card(leaky_folder, config)
    items = leaky_folder.select("test")
    unseen = unseen_groups(leaky_folder, items, card)
    assert not unseen & learnt
    assert unseen == held_out | {"new-16", "new-17"}


def test_unknown_divisions_trust_no_patient_of_another_split(leaky_folder, config):
    card, _, _ = _card(leaky_folder, config, sha256="of other files")
    items = leaky_folder.select("test")
    assert unseen_groups(leaky_folder, items, card) == {"new-16", "new-17"}


def test_weights_of_other_data_have_seen_nobody(leaky_folder, config):
    card, _, _ = _card(leaky_folder, config)
    card.data = {"folder": "elsewhere"}
    assert unseen_groups(leaky_folder, leaky_folder.select("test"), card) is None


def test_a_split_without_leak_keeps_everybody(tiny_folder, tmp_path):
    folder = read_data_folder(tiny_folder)
    config = make_config(data=tiny_folder, out=tmp_path, validation_fraction=0.3)
    card, _, _ = _card(folder, config)
    assert unseen_groups(folder, folder.items, card) is None
