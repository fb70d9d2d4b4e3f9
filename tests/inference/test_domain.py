"""Which images weights give a class for."""

import numpy as np
import pytest

from napari_segmoe.inference.domain import why_class_is_withheld, why_unlike
from napari_segmoe.models.card import WeightsCard
from napari_segmoe.types import Modality

TISSUE = np.full((64, 64, 3), (200, 120, 190), np.uint8)
SCAN = np.full((64, 64), 90, np.uint8)


def card(modality):
    return WeightsCard(name="n", model="m", modality=modality)


@pytest.mark.parametrize(
    ("made_for", "image", "found"),
    [
        (Modality.ULTRASOUND, TISSUE, "a colour image"),
        (Modality.HISTOLOGY, SCAN, "a grey image"),
        (Modality.HISTOLOGY, np.dstack([SCAN] * 3), "a grey image"),
    ],
)
def test_colours_speak_where_the_file_is_silent(made_for, image, found):
    sentence = why_class_is_withheld(card(made_for), Modality.UNKNOWN, image)
    assert sentence is not None
    assert found in sentence


@pytest.mark.parametrize(
    ("made_for", "image"),
    [
        (Modality.ULTRASOUND, SCAN),
        (Modality.HISTOLOGY, TISSUE),
        (Modality.UNKNOWN, TISSUE),
        (Modality.OTHER, SCAN),
    ],
)
def test_an_image_that_may_fit_gets_its_class(made_for, image):
    assert why_class_is_withheld(card(made_for), Modality.UNKNOWN, image) is None


def test_glass_with_a_little_tissue_is_not_taken_for_a_grey_image():
    slide = np.full((64, 64, 3), 240, np.uint8)
    slide[:16, :16] = TISSUE[:16, :16]
    assert (
        why_class_is_withheld(card(Modality.HISTOLOGY), Modality.UNKNOWN, slide) is None
    )


def test_the_sentence_names_weights_that_fit():
    sentence = why_class_is_withheld(
        card(Modality.ULTRASOUND), Modality.HISTOLOGY, TISSUE
    )
    assert sentence is not None
    assert "Choose glands" in sentence


def unlike(made_for, image, modality, name="n"):
    weights = WeightsCard(name=name, model="m", modality=made_for)
    return why_unlike(weights, image, modality=modality, score=2.0, limit=1.5)


@pytest.mark.parametrize(
    ("made_for", "image", "modality", "named", "not_named"),
    [
        ("ultrasound", SCAN, "ultrasound", "breast_ultrasound", "oct_lesions"),
        ("histology", TISSUE, "histology", "glands", "oct_lesions"),
        ("oct", SCAN, "oct", "or retina OCT use oct_lesions", "breast_ultrasound"),
        ("histology", TISSUE, "unknown", "use nuclei", "oct_lesions"),
    ],
)
def test_only_weights_that_can_fit_are_named(
    made_for, image, modality, named, not_named
):
    sentence = unlike(Modality(made_for), image, Modality(modality))
    assert named in sentence
    assert not_named not in sentence
    assert "another modality" not in sentence


def test_without_any_that_fits_the_mask_is_offered():
    sentence = unlike(
        Modality.ULTRASOUND, SCAN, Modality.ULTRASOUND, "breast_ultrasound"
    )
    assert sentence.endswith("The mask may still serve; choose the class yourself.")


def test_of_an_image_of_unknown_kind_other_modalities_are_said_to_be_such():
    sentence = unlike(Modality.ULTRASOUND, SCAN, Modality.UNKNOWN, "breast_ultrasound")
    assert sentence.endswith(
        "Is it no ultrasound? There are weights for another modality: oct_lesions"
        " (retina OCT)."
    )
