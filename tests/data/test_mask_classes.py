import numpy as np
import pytest
from PIL import Image

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.data.mask_classes import choose_classes, read_class_names
from napari_segmoe.errors import DataFolderError

NAMES = ("cyst", "hole", "fluid", "drusen")


def test_columns_of_labels_name_the_values_in_their_order(tmp_path):
    columns = ("original", "px_cyst", "px_hole", "note")
    assert read_class_names(tmp_path, columns) == ("cyst", "hole")


def test_a_table_of_classes_wins_over_columns(tmp_path):
    table = "value,name\n2,hole\n1,cyst\n0,background\n255,unknown\n"
    (tmp_path / "classes.csv").write_text(table)
    assert read_class_names(tmp_path, ("px_other",)) == ("cyst", "hole")


def test_nothing_names_the_values(tmp_path):
    assert read_class_names(tmp_path, ("original",)) == ()


@pytest.mark.parametrize(
    "table",
    ["value,name\n1,cyst\n3,hole\n", "number,name\n1,cyst\n", "value,name\nx,cyst\n"],
    ids=["a gap", "another column", "no number"],
)
def test_an_unusable_table_is_refused_in_one_sentence(tmp_path, table):
    (tmp_path / "classes.csv").write_text(table)
    with pytest.raises(DataFolderError, match=r"classes\.csv"):
        read_class_names(tmp_path, ())


def test_merged_classes_share_a_number():
    found = choose_classes(NAMES, {"fluid": "hole"})
    assert found.names == ("cyst", "hole", "drusen")
    assert found.numbers == (1, 2, 2, 3)


def test_classes_can_take_a_new_name_together():
    found = choose_classes(NAMES, {"hole": "gap", "fluid": "gap"})
    assert found.names == ("cyst", "gap", "drusen")
    assert found.numbers == (1, 2, 2, 3)


def test_classes_can_be_left_out_or_unknown():
    found = choose_classes(NAMES, {"hole": "background", "fluid": "unknown"})
    assert found.names == ("cyst", "drusen")
    assert found.numbers == (1, 0, 255, 2)


def test_numbers_follow_the_wanted_order_and_strange_classes_are_unknown():
    found = choose_classes(NAMES, {}, wanted=("drusen", "cyst"))
    assert found.numbers == (2, 255, 255, 1)


def test_values_become_class_numbers_and_255_stays_unknown():
    found = choose_classes(NAMES, {"fluid": "cyst"})
    values = np.array([[0, 1, 2], [3, 4, 255]], np.uint16)
    assert found.number(values).tolist() == [[0, 1, 2], [1, 3, 255]]


def test_a_value_without_name_is_refused():
    found = choose_classes(NAMES, {})
    with pytest.raises(DataFolderError, match="the value 7, but only 4"):
        found.number(np.array([[0, 7]]))


def test_merging_a_class_that_is_not_there_is_refused():
    with pytest.raises(DataFolderError, match="'fluids'; the masks' classes are cyst"):
        choose_classes(NAMES, {"fluids": "cyst"})


def test_two_values_of_one_name_are_refused():
    with pytest.raises(DataFolderError, match="a name of its own"):
        choose_classes(("cyst", "cyst"), {})


def test_a_folder_knows_the_names_of_its_classes(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    mask = np.zeros((20, 20), np.uint8)
    mask[2:8, 2:8], mask[12:18, 2:8], mask[2:8, 12:18] = 1, 1, 3
    Image.fromarray(mask).save(tmp_path / "masks" / "a.png")
    Image.fromarray(mask).save(tmp_path / "images" / "a.png")
    (tmp_path / "labels.csv").write_text(
        "file,class,split,group,px_cyst,px_hole,px_drusen\na.png,x,train,a,1,0,1\n"
    )
    assert read_data_folder(tmp_path).mask_classes == ("cyst", "hole", "drusen")


def test_masks_of_one_foreground_have_no_classes(bright_folder):
    assert read_data_folder(bright_folder).mask_classes == ()


def test_the_oct_folder_names_its_eight_classes(data_root):
    folder = data_root / "oct_kermany_lesions"
    if not folder.is_dir():
        pytest.skip("There is no oct_kermany_lesions.")
    names = read_data_folder(folder).mask_classes
    assert len(names) == 8
    assert names[:2] == ("intraretinal_cyst", "lamellar_macular_rupture")
