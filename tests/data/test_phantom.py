"""The phantom looks like its kind, and its truth is true."""

import numpy as np
import pytest

from napari_segmoe.data.phantom import make_breast_phantom


def box_ratio(mask):
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.ptp(columns) / np.ptp(rows)


def beneath(phantom):
    """Mean brightness under the lesion, less that beside it, at the same depth."""
    rows, columns = (
        np.flatnonzero(phantom.mask.any(1)),
        np.flatnonzero(phantom.mask.any(0)),
    )
    depth = slice(rows[-1] + 6, rows[-1] + 40)
    middle = slice(*np.percentile(columns, [30, 70]).astype(int))
    return phantom.image[depth, middle].mean() - phantom.image[depth].mean()


@pytest.mark.parametrize("kind", ["benign", "malignant", "normal"])
def test_same_seed_same_image(kind):
    first = make_breast_phantom(5, kind=kind, size=(64, 80))
    second = make_breast_phantom(5, kind=kind, size=(64, 80))
    np.testing.assert_array_equal(first.image, second.image)
    assert not np.array_equal(first.image, make_breast_phantom(6, size=(64, 80)).image)
    assert first.image.dtype == np.uint8
    assert first.image.shape == first.mask.shape == (64, 80)
    assert first.mask.any() == (kind != "normal")


@pytest.mark.parametrize("seed", range(4))
def test_benign_is_wide_and_malignant_tall_and_shadows(seed):
    benign = make_breast_phantom(seed, kind="benign")
    malignant = make_breast_phantom(seed, kind="malignant")
    assert box_ratio(benign.mask) > 1.1 > box_ratio(malignant.mask)
    assert beneath(malignant) < -15
    assert beneath(benign) > beneath(malignant) + 15


def test_the_lesion_is_darker_than_what_surrounds_it():
    phantom = make_breast_phantom(1, kind="benign")
    row = phantom.mask.any(1)
    outside = phantom.image[row][~phantom.mask[row]].mean()
    assert phantom.image[phantom.mask].mean() < 0.6 * outside


def test_speckle_is_there():
    phantom = make_breast_phantom(0, kind="normal")
    patch = phantom.image[200:230, 250:290].astype(float)
    assert 8 < patch.std() < 60


def test_spacing_follows_the_size():
    assert make_breast_phantom(0, size=(380, 100)).spacing_um == (100.0, 100.0)


def test_wrong_use_is_refused():
    with pytest.raises(ValueError, match="No kind"):
        make_breast_phantom(0, kind="cyst")
    with pytest.raises(ValueError, match="32 px"):
        make_breast_phantom(0, size=(8, 80))
