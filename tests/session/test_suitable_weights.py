"""Weights follow the kind of image until somebody chooses them."""

from napari_segmoe.session.predictor import ModelChoice
from napari_segmoe.types import Modality
from tests.session.fakes import make_image, make_session


def test_an_image_of_another_kind_brings_the_weights_made_for_it():
    session = make_session(image=False)
    said = []
    session.notified.connect(said.append)
    session.choose_image(make_image(modality=Modality.HISTOLOGY))
    assert session.model.choice.weights == "glands"
    assert any("histology" in sentence for sentence in said)
    session.choose_image(make_image("two", modality=Modality.ULTRASOUND))
    assert session.model.choice.weights == "breast_ultrasound"


def test_chosen_weights_stay():
    session = make_session(image=False)
    session.model.choose(weights="breast_ultrasound")
    session.choose_image(make_image(modality=Modality.HISTOLOGY))
    assert session.model.choice.weights == "breast_ultrasound"


def test_weights_that_a_session_begins_with_stay():
    session = make_session(image=False, choice=ModelChoice("mine.safetensors"))
    session.choose_image(make_image(modality=Modality.HISTOLOGY))
    assert session.model.choice.weights == "mine.safetensors"


def test_an_unknown_kind_changes_nothing():
    session = make_session(image=False)
    session.choose_image(make_image())
    assert session.model.choice.weights == "breast_ultrasound"
