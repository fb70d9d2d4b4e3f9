"""Learn a network's region head anew on the features of the network as it is.

A class with twenty objects is seen too seldom while everything learns. Here each
object is described once a view by the finished network, from its true outline and from
what the network marked near it, and the head alone learns from batches in which every
class is as frequent as the others. The step whose balanced accuracy on the validation
images' clicked objects is best is kept.
"""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F

from napari_segmoe.models.region_head import RegionHead
from napari_segmoe.training.batches import make_batch
from napari_segmoe.training.class_metrics import balanced_accuracy
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.draws import SampleDrawer
from napari_segmoe.training.run_data import RunData, load_run_data
from napari_segmoe.training.samples import plain_view
from napari_segmoe.training.semantic_validation import clicked_objects

VIEWS = 6  # of each training image
STEPS = 600
LOOK_EVERY = 50
BATCH = 64
RATE = 1e-3
DECAY = 0.05
SMOOTHING = 0.05


Figures = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True, eq=False)
class Described:
    """Objects as a region head is told of them.

    Attributes
    ----------
    vectors : Tensor, (N, width)
    classes : Tensor, (N,) int64
    several : Tensor, (N,) bool
        Whether the image shows several classes; empty where nobody asks.
    """

    vectors: Tensor
    classes: Tensor
    several: Tensor


def refit(model: nn.Module, config: TrainingConfig, *, context: str) -> Figures:
    """Give a network a new region head; the old one stays where it is no better.

    Parameters
    ----------
    model : nn.Module
        Changed in place.
    config : TrainingConfig
        Of the run that made it.
    context : str
        A `RegionContext` for the new head.

    Returns
    -------
    dict
        Balanced accuracy of the validation images' clicked objects, and of those in
        images with several classes, with the "old" head and with the "new" one.
    """
    torch.manual_seed(config.seed)
    fabric = Fabric(accelerator="cpu", precision="bf16-mixed")
    data = load_run_data(config)
    network: Any = model.eval()
    old: RegionHead = network.region_head
    figures = {"old": _figures(old, _describe_clicked(network, data, config, fabric))}
    head = _like(old, network, data, config, context=context)
    network.region_head = head
    held_out = _describe_clicked(network, data, config, fabric)
    described = _describe(network, data, config, fabric)
    print("objects described", np.bincount(described.classes.numpy()).tolist())
    best, kept = -1.0, head.state_dict()
    for step in _learn(head, described):
        found = _figures(head, held_out)
        print(step, {name: round(value, 3) for name, value in found.items()})
        if sum(found.values()) > best:
            best, kept = sum(found.values()), copy.deepcopy(head.state_dict())
            figures["new"] = found
    head.load_state_dict(kept)
    head.eval()
    if best <= sum(figures["old"].values()):
        network.region_head = old
    return figures


def _like(
    old: RegionHead,
    network: Any,
    data: RunData,
    config: TrainingConfig,
    *,
    context: str,
) -> RegionHead:
    sample = SampleDrawer(config, data.train).draw(0, 0)
    batch = make_batch([sample, sample])
    with torch.no_grad():
        output = network(batch.image, batch.prompts)
    channels = tuple(one.shape[1] for one in output.features)
    return RegionHead(
        channels,
        embedding_channels=0 if output.embedding is None else output.embedding.shape[1],
        classes=old.out.out_features,
        context=context,
    )


def _describe(
    network: Any, data: RunData, config: TrainingConfig, fabric: Fabric
) -> Described:
    drawer = SampleDrawer(
        config.model_copy(update={"prompt_share": 0.7, "background_share": 0.0}),
        data.train,
    )
    vectors, classes = [], []
    count = len(data.train)
    with torch.no_grad():
        for first in range(0, VIEWS * count, config.batch_size):
            views = range(first, min(first + config.batch_size, VIEWS * count))
            batch = make_batch(
                [drawer.draw(one // count, one % count) for one in views]
            )
            with fabric.autocast():
                output = network(batch.image, batch.prompts)
            guess = output.foreground.sigmoid().float() * batch.near_object
            for mask in (batch.object_mask, guess):
                told = network.region_head.describe(
                    output.features, output.embedding, mask
                )
                known = (batch.object_class >= 0) & (mask.flatten(1).sum(1) >= 4)
                vectors.append(told[known])
                classes.append(batch.object_class[known])
    return Described(torch.cat(vectors), torch.cat(classes), torch.zeros(0, dtype=bool))


def _learn(head: RegionHead, described: Described) -> Any:
    """Train the head and yield now and then, in eval mode."""
    generator = torch.Generator().manual_seed(0)
    counts = torch.bincount(described.classes).clamp_min(1)
    chances = (1.0 / counts)[described.classes].double()
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=DECAY)
    for step in range(1, STEPS + 1):
        head.train()
        rows = torch.multinomial(chances, BATCH, replacement=True, generator=generator)
        scores = head.classify(described.vectors[rows])
        loss = F.cross_entropy(
            scores, described.classes[rows], label_smoothing=SMOOTHING
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % LOOK_EVERY == 0:
            head.eval()
            yield step


def _describe_clicked(
    network: Any, data: RunData, config: TrainingConfig, fabric: Fabric
) -> Described:
    """Describe the validation images' objects as one click on each finds them."""
    views = [plain_view(one, output_px=config.input_px) for one in data.validation]
    clicked = clicked_objects(data.validation, views)
    vectors = []
    with torch.no_grad():
        for first in range(0, len(clicked), config.batch_size):
            asked = clicked[first : first + config.batch_size]
            batch = make_batch([sample for sample, _ in asked])
            with fabric.autocast():
                output = network(batch.image, batch.prompts)
            found = output.foreground.sigmoid().float()
            vectors.append(
                network.region_head.describe(output.features, output.embedding, found)
            )
    return Described(
        torch.cat(vectors),
        torch.tensor([sample.object_class for sample, _ in clicked]),
        torch.tensor([several for _, several in clicked]),
    )


@torch.no_grad()
def _figures(head: RegionHead, described: Described) -> dict[str, float]:
    scores = head.classify(described.vectors).softmax(1).numpy()
    truth, several = described.classes.numpy(), described.several.numpy()
    return {
        "balanced": balanced_accuracy(scores, truth),
        "several": balanced_accuracy(scores[several], truth[several]),
    }
