"""Masks of every kind are told apart, and what was assumed is said."""

import numpy as np
import pytest
from PIL import Image

from napari_segmoe.data.masks import MaskKind, agree_on_kind, mask_kind_of, read_mask
from napari_segmoe.errors import DataFolderError


def save(path, values):
    Image.fromarray(values).save(path)
    return path


@pytest.fixture
def two_objects():
    values = np.zeros((12, 14), np.uint8)
    values[1:4, 1:5] = 1
    values[6:10, 7:12] = 2
    return values


@pytest.mark.parametrize("foreground", [1, 255])
def test_zero_and_one_or_255_is_binary(tmp_path, two_objects, foreground):
    path = save(
        tmp_path / "a.png", (two_objects > 0).astype(np.uint8) * np.uint8(foreground)
    )
    mask = read_mask(path)
    assert mask.kind is MaskKind.BINARY
    np.testing.assert_array_equal(mask.labels, two_objects > 0)


def test_smoothed_edges_are_still_binary(tmp_path):
    values = np.zeros((60, 60), np.uint8)
    values[20:50, 20:50] = 255
    values[19, 20:50], values[50, 20:50] = 90, 160
    mask = read_mask(save(tmp_path / "a.png", values))
    assert mask.kind is MaskKind.BINARY
    assert (mask.labels[19, 30], mask.labels[50, 30]) == (0, 1)


def test_ids_in_one_piece_are_instances(tmp_path, two_objects):
    mask = read_mask(save(tmp_path / "a.png", two_objects.astype(np.uint16)))
    assert mask.kind is MaskKind.INSTANCES
    np.testing.assert_array_equal(mask.labels, two_objects)
    assert "one id an object" in mask.note


def test_gaps_or_scattered_values_are_classes(tmp_path, two_objects):
    assert mask_kind_of(save(tmp_path / "a.png", two_objects * 2)) is MaskKind.SEMANTIC
    checkered = np.indices((12, 14)).sum(0) % 5 // 2
    assert (
        mask_kind_of(save(tmp_path / "b.png", checkered.astype(np.uint8)))
        is MaskKind.SEMANTIC
    )


def test_palette_numbers_count_not_their_colours(tmp_path, two_objects):
    image = Image.fromarray(two_objects, mode="L").convert("P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    image.putdata(two_objects.ravel().tolist())
    image.save(tmp_path / "a.png")
    mask = read_mask(tmp_path / "a.png")
    np.testing.assert_array_equal(mask.labels, two_objects)
    assert "palette" in mask.note


def test_colours_are_numbered(tmp_path, two_objects):
    colours = np.array([[0, 0, 0], [0, 0, 200], [200, 0, 0]], np.uint8)
    mask = read_mask(save(tmp_path / "a.png", colours[two_objects]))
    np.testing.assert_array_equal(mask.labels, two_objects)
    assert "colours" in mask.note


def test_the_kind_of_the_folder_wins(tmp_path, two_objects):
    path = save(tmp_path / "a.png", (two_objects == 1).astype(np.uint8))
    assert read_mask(path, kind=MaskKind.INSTANCES).kind is MaskKind.INSTANCES
    kinds = [MaskKind.BINARY, MaskKind.INSTANCES, MaskKind.EMPTY]
    assert agree_on_kind(kinds) is MaskKind.INSTANCES
    assert agree_on_kind([*kinds, MaskKind.SEMANTIC]) is MaskKind.SEMANTIC


def test_an_empty_mask_is_legal(tmp_path):
    mask = read_mask(save(tmp_path / "a.png", np.zeros((4, 4), np.uint8)))
    assert mask.kind is MaskKind.EMPTY
    assert not mask.labels.any()


def test_another_size_is_refused_with_both(tmp_path, two_objects):
    with pytest.raises(DataFolderError, match="12 x 14 px, its image 20 x 14"):
        read_mask(save(tmp_path / "a.png", two_objects), (20, 14))


def test_missing_damaged_and_many_coloured_masks_are_refused(tmp_path, rng):
    with pytest.raises(DataFolderError, match="no mask"):
        read_mask(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("text")
    with pytest.raises(DataFolderError, match=r"b\.png is damaged"):
        read_mask(tmp_path / "b.png")
    photo = rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)
    with pytest.raises(DataFolderError, match="colours"):
        read_mask(save(tmp_path / "c.png", photo))
