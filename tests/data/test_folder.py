"""Data folders and splits: what fits is read, what does not is named."""

import numpy as np
import pytest
from PIL import Image

from napari_segmoe.data.folder import LeakySplitWarning, read_data_folder
from napari_segmoe.data.masks import MaskKind
from napari_segmoe.data.splits import DataItem, check_disjoint, split_groups, split_hash
from napari_segmoe.errors import DataFolderError, SplitError

ROWS = (
    "a.png,benign,train,g1,x\n"
    "b.png,malignant,train,g2,y\n"
    "c.png,benign,testA,g3,x\n"
    "d.png,normal,testB,g4,x\n"
)
HEADER = "file,class,split,group,note\n"


@pytest.fixture
def folder(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    mask = np.zeros((8, 10), np.uint8)
    mask[2:5, 2:6] = 255
    for stem in "abcd":
        Image.fromarray(mask // 2).save(tmp_path / "images" / f"{stem}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{stem}.png")
    (tmp_path / "labels.csv").write_text(HEADER + ROWS)
    return tmp_path


def relabel(folder, old, new):
    path = folder / "labels.csv"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_items_carry_what_labels_say(folder):
    data = read_data_folder(folder)
    assert [item.name for item in data.items] == ["a", "b", "c", "d"]
    assert data.items[1].class_name == "malignant"
    assert data.items[1].extra == {"note": "y"}
    assert data.mask_kind is MaskKind.BINARY
    assert data.classes == ("benign", "malignant", "normal")
    assert len(data.without("note", "x").items) == 1


def test_test_takes_every_split_that_begins_so(folder):
    data = read_data_folder(folder)
    assert [item.name for item in data.select("test")] == ["c", "d"]
    assert [item.name for item in data.select("train,testB")] == ["a", "b", "d"]
    with pytest.raises(SplitError, match="testA, testB, train"):
        data.select("val")


def test_without_labels_every_image_is_in_all(folder):
    (folder / "labels.csv").unlink()
    data = read_data_folder(folder)
    assert {item.split for item in data.items} == {"all"}
    assert {item.class_name for item in data.items} == {None}


def test_without_any_mask_the_folder_is_read(folder):
    for path in (folder / "masks").iterdir():
        path.unlink()
    assert read_data_folder(folder).mask_kind is None


def test_one_missing_mask_is_named(folder):
    (folder / "masks" / "b.png").unlink()
    with pytest.raises(DataFolderError, match=r"b\.png has no mask"):
        read_data_folder(folder)


def test_a_mask_of_another_size_is_named(folder):
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(folder / "masks" / "c.png")
    with pytest.raises(DataFolderError, match=r"c\.png is 8 x 9 px, its image 8 x 10"):
        read_data_folder(folder)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("split,group", "split,patient", "no column group"),
        ("a.png", "z.png", "z.png"),
        ("b.png", "a.png", "twice"),
        ("d.png,normal", "d.png", "Line 5"),
        ("a.png,benign,train", "a.png,benign,", "no split"),
    ],
)
def test_faults_of_labels_are_named(folder, old, new, words):
    relabel(folder, old, new)
    with pytest.raises(DataFolderError, match=words):
        read_data_folder(folder)


def test_a_class_outside_the_list_is_named(folder):
    with pytest.raises(DataFolderError, match=r"d\.png is of class 'normal'"):
        read_data_folder(folder, classes=("benign", "malignant"))


def test_a_group_on_two_sides_is_an_error_in_a_split_of_ours(folder):
    relabel(folder, "g3", "g1")
    with pytest.raises(SplitError, match="'g1' is on two sides"):
        read_data_folder(folder)


def test_an_official_split_that_leaks_is_used_with_a_warning(folder):
    relabel(folder, "g3", "g1")
    (folder / "README.md").write_text("# Set\n- Official split: of the challenge\n")
    with pytest.warns(LeakySplitWarning, match="1 of 3 groups"):
        data = read_data_folder(folder)
    assert data.leaky_groups == (1, 3)


def test_two_test_splits_are_one_side(folder):
    relabel(folder, "g4", "g3")
    assert read_data_folder(folder).leaky_groups is None


def items_of(count, per_group=2):
    return [
        DataItem(
            f"i{n}",
            None,
            class_name="ab"[n // per_group % 2],
            group=f"g{n // per_group}",
        )
        for n in range(count)
    ]


def test_groups_stay_whole_and_classes_keep_their_share():
    items = items_of(80)
    training, validation = split_groups(items, 0.25, seed=3)
    assert not {i.group for i in training} & {i.group for i in validation}
    assert len(training) + len(validation) == 80
    assert [sum(i.class_name == c for i in validation) for c in "ab"] == [10, 10]
    assert split_groups(items, 0.25, seed=3) == (training, validation)
    assert split_groups(items, 0.25, seed=4) != (training, validation)


def test_impossible_splits_are_refused():
    with pytest.raises(SplitError, match="two"):
        split_groups(items_of(2), 0.5, seed=0)
    with pytest.raises(SplitError, match="0 < share < 1"):
        split_groups(items_of(8), 1.0, seed=0)
    with pytest.raises(SplitError, match="'g0'"):
        check_disjoint(items_of(2)[:1], items_of(2)[1:])


def test_split_hash_knows_names_and_splits_but_no_order():
    items = items_of(6)
    assert split_hash(items) == split_hash(items[::-1])
    assert split_hash(items) != split_hash(items[1:])


@pytest.mark.parametrize(
    ("name", "kind", "leak"),
    [("glas", "instances", (11, 16)), ("oct_kermany_lesions", "semantic", None)],
)
@pytest.mark.filterwarnings("ignore::napari_segmoe.data.folder.LeakySplitWarning")
def test_real_folders_are_understood(data_root, name, kind, leak):
    data = read_data_folder(data_root / name)
    assert data.mask_kind == kind
    assert data.leaky_groups == leak
