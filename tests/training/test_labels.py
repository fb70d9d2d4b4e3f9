"""Which training images count as labelled, whatever the recipe."""

from collections import Counter
from itertools import pairwise

import pytest

from napari_segmoe.data.splits import DataItem
from napari_segmoe.errors import ConfigError
from napari_segmoe.training.config import make_config
from napari_segmoe.training.labels import choose_labelled
from napari_segmoe.training.run_parts import read_parts
from tests.training.tissue import touching_glands, write_folder


def _items(path, *, groups=8, size=5, masks=True):
    """Images of groups of five; three groups of four are benign."""
    return tuple(
        DataItem(
            f"i{group}_{number}",
            path / f"i{group}_{number}.png",
            path / "mask.png" if masks else None,
            "malignant" if group % 4 == 0 else "benign",
            "train",
            f"g{group}",
        )
        for group in range(groups)
        for number in range(size)
    )


def _config(path, **changes):
    return make_config(data=path, out=path / "run", **changes)


def _names(items):
    return {item.name for item in items}


def test_a_share_takes_that_share_of_each_class(tmp_path):
    labelled, unlabelled = choose_labelled(
        _items(tmp_path), _config(tmp_path, label_fraction=0.5)
    )
    assert Counter(item.class_name for item in labelled) == {
        "benign": 15,
        "malignant": 5,
    }
    assert len(unlabelled) == 20
    assert not _names(labelled) & _names(unlabelled)


def test_whole_groups_are_labelled_but_the_last_of_a_class(tmp_path):
    labelled, _ = choose_labelled(
        _items(tmp_path), _config(tmp_path, label_fraction=0.45)
    )
    sizes = Counter((item.class_name, item.group) for item in labelled)
    for name in ("benign", "malignant"):
        cut = [size for (of, _), size in sizes.items() if of == name and size < 5]
        assert len(cut) <= 1


def test_a_larger_share_holds_a_smaller_one(tmp_path):
    items = _items(tmp_path)
    found = [
        _names(choose_labelled(items, _config(tmp_path, label_fraction=share))[0])
        for share in (0.05, 0.1, 0.3, 0.8, 1.0)
    ]
    assert all(small <= large for small, large in pairwise(found))
    assert [len(one) for one in found] == [2, 4, 12, 32, 40]


def test_the_seed_chooses_and_the_recipe_does_not(tmp_path):
    items = _items(tmp_path)
    chosen = [
        _names(choose_labelled(items, _config(tmp_path, label_fraction=0.3, **one))[0])
        for one in (
            {"seed": 1},
            {"seed": 1, "recipe": "semi_supervised"},
            {"seed": 2},
        )
    ]
    assert chosen[0] == chosen[1] != chosen[2]


def test_small_classes_get_one_image_where_there_are_enough(tmp_path):
    items = (
        *_items(tmp_path, groups=3, size=20)[20:],
        DataItem("rare", tmp_path / "rare.png", tmp_path, "rare", "train", "r"),
    )
    labelled, _ = choose_labelled(items, _config(tmp_path, label_fraction=0.05))
    assert "rare" in _names(labelled)
    assert len(labelled) == 2


def test_a_share_that_leaves_nothing_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match=r"no labelled image of 40 .* 0\.025"):
        choose_labelled(_items(tmp_path), _config(tmp_path, label_fraction=0.01))


def test_images_without_masks_are_never_labelled(tmp_path):
    bare = _items(tmp_path / "bare", groups=1, masks=False)
    items = (*_items(tmp_path, groups=8)[5:], *bare)
    labelled, unlabelled = choose_labelled(items, _config(tmp_path))
    assert len(labelled) == 35
    assert _names(unlabelled) == _names(bare)


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "d", [touching_glands()] * 12)


def _list(folder, text):
    (folder / "labelled.txt").write_text(text, encoding="utf-8")
    return {"labelled_list": "labelled.txt"}


def test_a_list_in_the_folder_names_the_labelled_images(folder):
    (whole,) = read_parts(_config(folder))
    names = [item.name for item in whole.train[:3]]
    text = f"# by hand\n{names[0]}\n\n{names[1]}.png\n  {names[2]}  \n"
    (part,) = read_parts(_config(folder, **_list(folder, text)))
    assert [item.name for item in part.train] == names
    assert len(part.unlabelled) == len(whole.train) - 3


def test_the_validation_part_is_the_same_for_all_shares(folder):
    parts = [
        read_parts(_config(folder, label_fraction=share))[0] for share in (0.2, 0.6, 1)
    ]
    assert parts[0].validation == parts[1].validation == parts[2].validation


def test_a_list_of_other_images_is_refused(folder):
    with pytest.raises(ConfigError, match=r"None of the 1 names in labelled\.txt"):
        read_parts(_config(folder, **_list(folder, "somewhere_else.png\n")))


def test_a_list_that_is_not_there_is_refused(folder):
    with pytest.raises(ConfigError, match=r"no file gone\.txt"):
        read_parts(_config(folder, labelled_list="gone.txt"))


def test_a_listed_image_without_mask_is_refused(folder):
    (whole,) = read_parts(_config(folder))
    name = whole.train[0].name
    (folder / "masks" / f"{name}.png").unlink()
    with pytest.raises(ConfigError, match=f"lists {name}, which has no mask"):
        read_parts(_config(folder, **_list(folder, name)))


def test_a_list_and_a_share_together_are_refused(folder):
    with pytest.raises(ConfigError, match="labelled_list and label_fraction"):
        read_parts(_config(folder, label_fraction=0.5, **_list(folder, "x")))


def test_only_images_with_masks_are_validated_on(folder):
    for number in range(5):
        (folder / "masks" / f"tissue_{number:02d}.png").unlink()
    (part,) = read_parts(_config(folder, recipe="semi_supervised"))
    assert all(item.mask_path is not None for item in (*part.train, *part.validation))
    assert len(part.unlabelled) == 5
