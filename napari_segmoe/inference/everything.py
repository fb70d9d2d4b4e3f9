"""The automatic mode: every object of an image, as one `Prediction`."""

from collections.abc import Generator, Mapping

import numpy as np
from numpy.typing import NDArray

from napari_segmoe.data.frames import ScaledFrame, fold_at
from napari_segmoe.data.patches import Patch
from napari_segmoe.data.windows import Window, physical_window
from napari_segmoe.inference.asked_image import AskedImage
from napari_segmoe.inference.classification import (
    AnswerClassifier,
    Classes,
    describe_masks,
    is_uncertain,
    name_scores,
    object_masks,
)
from napari_segmoe.inference.closer_look import look_at_each
from napari_segmoe.inference.domain_guard import judge_all
from napari_segmoe.inference.network import WindowAnswer, WindowNetwork
from napari_segmoe.inference.question import Question
from napari_segmoe.inference.regions.engine import RegionAnswer, segment_tiles
from napari_segmoe.inference.regions.estimating import estimate, seconds_per_window
from napari_segmoe.inference.regions.options import TileOptions
from napari_segmoe.inference.selection import label_objects
from napari_segmoe.types import (
    Click,
    Mask,
    PixelSource,
    Prediction,
    Prompts,
    RegionEstimate,
    RegionProgress,
    SegmentedObject,
)

_FEW_OBJECTS = 3  # each costs another forward
_WHOLE_BYTES = 40  # a pixel: maps of the answer, ids, and distances within objects


def segment_whole(
    network: WindowNetwork,
    question: Question,
    answer: WindowAnswer,
    locked: Mask | None,
    *,
    keep_distance: bool = False,
) -> Prediction:
    """Return every object that one window over the whole image shows.

    Parameters
    ----------
    network : WindowNetwork
        Has the image; its weights have no pixel size.
    question : Question
        Without prompts.
    answer : WindowAnswer
        The network's.
    locked : (H, W) bool or None
        Pixels that belong to no object.
    keep_distance : bool
        Whether the prediction holds the network's distance, where it has one.
    """
    card, image = network.card, judge_all(network, question.image)
    classifier = AnswerClassifier(network)
    probability = network.enlarge(answer.probability, answer.window, image.shape)
    classes = classifier.classify_image(image, answer)
    notes = image.said
    if classifier.says_empty(answer):
        labels = np.zeros(image.shape, np.uint32)
    else:
        probability, labels = _all_labels(
            network, question, answer, probability, locked=locked
        )
    if not labels.any():
        notes = (*notes, "No object was found.")
    return Prediction(
        mask=labels > 0,
        probability=probability,
        labels=labels,
        objects=classifier.describe_all(image, answer, labels),
        classes=classes,
        is_uncertain=is_uncertain(classes, card),
        notes=notes,
        distance=network.distance(answer, image.shape) if keep_distance else None,
    )


def segment_windows(
    network: WindowNetwork,
    image: AskedImage,
    locked: Mask | None,
    *,
    keep_distance: bool = False,
) -> Generator[RegionProgress, None, Prediction]:
    """Find every object of an image at the weights' pixel size, step by step.

    Parameters
    ----------
    network : WindowNetwork
        Its weights have a pixel size; its own image is not touched.
    image : AskedImage
        At that pixel size.
    locked : (H, W) bool or None
        Pixels that belong to no object.
    keep_distance : bool
        Whether the prediction holds the network's distance, where it has one.

    Yields
    ------
    RegionProgress
        In the image's own pixels.

    Returns
    -------
    Prediction
        Its ``classes`` are the mean of the objects', weighted by area.
    """
    frame = image.frame
    if isinstance(frame, ScaledFrame) and locked is not None:
        locked = frame.take(locked, (0, 0, *frame.shape)) > 0.5
    options = TileOptions(keep_distance=keep_distance)
    steps = segment_tiles(network, _as_source(image), options=options, locked=locked)
    try:
        while True:
            try:
                step = next(steps)
            except StopIteration as stop:
                answer: RegionAnswer = stop.value
                break
            yield frame.progress(step) if isinstance(frame, ScaledFrame) else step
    finally:
        steps.close()
    return _as_prediction(network, image, answer)


def run_to_end(steps: Generator[RegionProgress, None, Prediction]) -> Prediction:
    """Return what a generator returns in the end."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            prediction: Prediction = stop.value
            return prediction


def window_shown(question: Question, prediction: Prediction) -> Window:
    """Return the window that explains an answer of many: the largest object's.

    Parameters
    ----------
    question : Question
        Without prompts.
    prediction : Prediction
        Its answer, in the image's own pixels.
    """
    whole = question.window
    if whole.side <= whole.grid_px:
        return Window(
            whole.y0 - (whole.grid_px - whole.side) // 2,
            whole.x0 - (whole.grid_px - whole.side) // 2,
            whole.grid_px,
            whole.grid_px,
        )
    frame, box = question.image.frame, (0, 0, *question.image.shape)
    if prediction.objects:
        box = max(prediction.objects, key=lambda item: item.area_px).box
    y0, x0, y1, x1 = frame.box(box)
    middle = Click((y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2)
    return physical_window(None, Prompts((middle,)), grid_px=whole.grid_px)


def estimate_cost(network: WindowNetwork, image: AskedImage) -> RegionEstimate:
    """Return what the automatic mode will cost on an image."""
    if image.scaled is not None:
        return estimate(image.scaled.shape, network)
    looks = 1 + _FEW_OBJECTS
    height, width = image.shape
    return RegionEstimate(
        windows=1,
        seconds=looks * seconds_per_window(network),
        memory_bytes=_WHOLE_BYTES * height * width,
    )


def _as_source(image: AskedImage) -> PixelSource:
    seen = image.seen
    if isinstance(seen, np.ndarray):
        raise TypeError("weights with a pixel size see a PixelSource")
    return seen


def _as_prediction(
    network: WindowNetwork, image: AskedImage, answer: RegionAnswer
) -> Prediction:
    """Return the engine's answer in the image's own pixels, with classes."""
    card, frame = network.card, image.frame
    probability = answer.probability.astype(np.float32)
    probability /= 255
    labels = answer.labels
    distance: NDArray[np.floating] | None = answer.distance
    mask = labels > 0
    if isinstance(frame, ScaledFrame):
        folded = fold_at(probability, mask, card.mask_threshold)
        own = (0, 0, *image.shape)
        probability = frame.to_own(Patch(folded), own)
        mask = probability > card.mask_threshold
        labels = frame.labels_to_own(labels, mask)
        if distance is not None:
            distance = frame.to_own(Patch(distance.astype(np.float32)), own)
    masks = object_masks(labels)
    named = _name_objects(network, image, answer, masks)
    objects = describe_masks(masks, named, image, card)
    classes = _mean_classes(objects)
    return Prediction(
        mask=mask,
        probability=probability,
        labels=labels,
        objects=objects,
        classes=classes,
        is_uncertain=is_uncertain(classes, card),
        notes=(*image.said, *answer.notes),
        distance=distance,
    )


def _name_objects(
    network: WindowNetwork,
    image: AskedImage,
    answer: RegionAnswer,
    masks: Mapping[int, Patch],
) -> list[Classes | None]:
    """Return the classes of objects; None where withheld or never scored."""
    known = [number for number in masks if number in answer.scores]
    if image.withheld is not None or not known:
        return [None] * len(masks)
    scores = np.stack([answer.scores[number] for number in known])
    named = dict(zip(known, name_scores(network.card, scores), strict=True))
    return [named.get(number) for number in masks]


def _mean_classes(objects: tuple[SegmentedObject, ...]) -> Classes | None:
    """Return the mean of the objects' class probabilities, weighted by area."""
    known = [item for item in objects if item.probabilities]
    if not known:
        return None
    total = sum(item.area_px for item in known)
    names = known[0].probabilities or {}
    return {
        name: sum(item.area_px * (item.probabilities or {})[name] for item in known)
        / total
        for name in names
    }


def _all_labels(
    network: WindowNetwork,
    question: Question,
    answer: WindowAnswer,
    probability: NDArray[np.float32],
    *,
    locked: Mask | None,
) -> tuple[NDArray[np.float32], NDArray[np.uint32]]:
    """Return probability and object ids; a few objects get a closer look."""
    card, shape = network.card, question.image.shape
    allowed = np.ones(shape, bool) if locked is None else ~locked
    distance = network.distance(answer, shape)
    classes = network.pixel_classes(answer, shape)
    labels = label_objects(
        (probability > card.mask_threshold) & allowed,
        card.smallest_object_fraction,
        distance=distance,
        neck=card.part_below,
        probability=probability,
        least_mean=card.keep_above,
        classes=classes,
    )
    if not 0 < labels.max() <= _FEW_OBJECTS:
        return probability, labels
    closer = look_at_each(network, question, probability, labels)
    mask = (closer > card.mask_threshold) & allowed
    return closer, label_objects(
        mask,
        card.smallest_object_fraction,
        distance=distance,
        neck=card.part_below,
        probability=closer,
        least_mean=card.keep_above,
        classes=classes,
    )
