"""Which experts a run's images ask: gathered step by step, told epoch by epoch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from napari_segmoe.models.outputs import Routing

DEAD_BELOW = 0.01


@dataclass(slots=True, eq=False)
class _Sums:
    """Sums over images, each (E,) float64 but ``entropy`` and ``images``."""

    chosen: Tensor
    weight: Tensor
    square: Tensor
    entropy: Tensor
    images: int


class RoutingUsage:
    """Gathers who was asked, by every router that `SegmentationOutput.routing` names.

    Sums stay on the network's device until `figures` reads them. With several
    processes each sees its own images.
    """

    def __init__(self) -> None:
        self._routers: dict[str, tuple[tuple[str, ...], _Sums]] = {}

    @torch.no_grad()
    def add(self, routing: Sequence[Routing]) -> None:
        """Count the images of one forward."""
        for one in routing:
            weights = one.weights.detach().double()  # (B, E)
            asked = torch.zeros_like(weights).scatter(1, one.chosen, 1.0)
            found = _Sums(
                chosen=asked.sum(dim=0),
                weight=weights.sum(dim=0),
                square=weights.square().sum(dim=0),
                entropy=torch.special.entr(weights.clamp(0, 1)).sum(),
                images=len(weights),
            )
            self._routers[one.stage] = one.experts, self._joined(one.stage, found)

    def figures(self) -> dict[str, Any]:
        """Return figures of all images since the last call; empty if there were none.

        Returns
        -------
        dict
            "routers": by the router's name

            - "experts": by the expert's name "chosen", the share of images that asked
              it, and "weight", its mean weight over all images;
            - "entropy": of an image's weights, mean over images, as a share of that of
              equal weights: 0, one expert does everything, to 1, all do the same;
            - "variation": standard deviation of an expert's weight between images over
              its mean, weighted by that mean; 0 where every image is routed alike;
            - "dead": experts that less than 1 % of the images chose, or that weigh
              less than 1 %.

            "dead": experts that are dead in every router that has them.
        """
        routers = {
            stage: _describe(experts, sums)
            for stage, (experts, sums) in self._routers.items()
        }
        self._routers = {}
        if not routers:
            return {}
        names = [name for one in routers.values() for name in one["experts"]]
        dead = [
            name
            for name in dict.fromkeys(names)
            if all(
                name in one["dead"]
                for one in routers.values()
                if name in one["experts"]
            )
        ]
        return {"routers": routers, "dead": dead}

    def event(self) -> dict[str, Any]:
        """Return `figures` as "routing" of an epoch's event; empty without routers."""
        found = self.figures()
        return {"routing": found} if found else {}

    def _joined(self, stage: str, found: _Sums) -> _Sums:
        if stage not in self._routers:
            return found
        known = self._routers[stage][1]
        return _Sums(
            chosen=known.chosen + found.chosen,
            weight=known.weight + found.weight,
            square=known.square + found.square,
            entropy=known.entropy + found.entropy,
            images=known.images + found.images,
        )


def _describe(experts: tuple[str, ...], sums: _Sums) -> dict[str, Any]:
    chosen, weight = sums.chosen / sums.images, sums.weight / sums.images
    deviation = (sums.square / sums.images - weight.square()).clamp_min(0).sqrt()
    most = torch.log(torch.tensor(float(max(len(experts), 2)), dtype=torch.float64))
    dead = ((chosen < DEAD_BELOW) | (weight < DEAD_BELOW)).tolist()
    return {
        "experts": {
            name: {"chosen": round(float(c), 4), "weight": round(float(w), 4)}
            for name, c, w in zip(experts, chosen, weight, strict=True)
        },
        "entropy": round(float(sums.entropy.cpu() / sums.images / most), 4),
        "variation": round(float(deviation.sum() / weight.sum()), 4),
        "dead": [name for name, is_dead in zip(experts, dead, strict=True) if is_dead],
    }
