r"""Fit the domain guard of shipped weights and add it to their file.

    python benchmarks/add_domain_guard.py breast_ultrasound --data DATA/busi \
        --limit 1.5
    python benchmarks/add_domain_guard.py glands --data DATA/glas

Training and validation images are those that the card names (checked by their hash);
no tensor of the network changes. `--ship` of the training scripts does the same.
`--limit` widens what is held for the domain beyond the score that one in twenty of its
images exceeds, so that another hospital's images are not silenced.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file

from napari_segmoe.data.splits import split_hash
from napari_segmoe.inference.devices import choose_device
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.models.card import WeightsCard, find_weights
from napari_segmoe.models.weights import (
    GUARD,
    hash_tensors,
    load_weights,
    replace_guard,
)
from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.domain_fit import fit_run_domain
from napari_segmoe.training.run_parts import read_parts


def main() -> None:
    """Fit, write and check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights")
    parser.add_argument("--data", type=Path, required=True, nargs="+")
    parser.add_argument("--limit", type=float)
    options = parser.parse_args()
    path = find_weights(options.weights)
    model, card = load_weights(path)
    config = config_of(card, options.data)
    if split_hash_of(config) != card.split["sha256"]:
        raise SystemExit(f"{path.name} was not trained on {options.data}.")
    network = WindowNetwork(model, card, choose_device("cpu"))
    domain = fit_run_domain(network, config).domain
    if options.limit is not None and domain is not None:
        domain = domain.model_copy(update={"limit": options.limit})
    before = network_tensors(path)
    card = replace_guard(path, model.domain_guard, domain)
    if network_tensors(path) != before:
        raise SystemExit("A tensor of the network changed.")
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB, {card.domain}")


def network_tensors(path: Path) -> str:
    """Return the hash of all tensors but the guard's."""
    tensors = load_file(path)
    return hash_tensors({n: t for n, t in tensors.items() if not n.startswith(GUARD)})


def config_of(card: WeightsCard, data: list[Path]) -> TrainingConfig:
    """Return the settings that weights were trained with."""
    known = {
        name: value
        for name, value in card.training.items()
        if name in TrainingConfig.model_fields
    }
    return TrainingConfig(
        **known, data=data[0], more_data=tuple(data[1:]), out=Path("unused")
    )


def split_hash_of(config: TrainingConfig) -> str:
    """Return the hash of the images that a run trains and validates on."""
    parts = read_parts(config)
    return split_hash(
        [
            *(replace(item, split="train") for part in parts for item in part.train),
            *(
                replace(item, split="validation")
                for part in parts
                for item in part.validation
            ),
        ]
    )


if __name__ == "__main__":
    main()
