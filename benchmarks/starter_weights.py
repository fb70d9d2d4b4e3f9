"""What the scripts `train_*.py` share: their options, training, and shipping.

A script's settings are the recipe of its weights; validation is carved from the train
split by group, chooses whatever is chosen, and no test split is read.
"""

import argparse
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from napari_segmoe.inference.devices import choose_device
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.models.weights import load_weights, save_weights
from napari_segmoe.training.config import TrainingConfig, load_config, make_config
from napari_segmoe.training.domain_fit import fit_run_domain
from napari_segmoe.training.engine import fit


def options_of(description: str | None) -> argparse.ArgumentParser:
    """Return the options that every script has."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, action="append", required=True, help="once a folder"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--ship", action="store_true")
    return parser


def train(settings: Mapping[str, Any], options: argparse.Namespace) -> None:
    """Train as the settings say, and print events but for single steps."""
    config = make_config(
        **settings,
        data=options.data[0],
        more_data=options.data[1:],
        out=options.out,
        threads=options.threads,
    )
    for event in fit(config, resume=options.resume):
        if event["event"] != "progress":
            print(event, flush=True)


def open_best(
    run: Path,
    changes: Mapping[str, Any],
    network: type[WindowNetwork] = WindowNetwork,
) -> tuple[WindowNetwork, TrainingConfig]:
    """Return a run's best weights with a changed card, and the run's settings."""
    model, card = load_weights(run / "best.safetensors")
    card = card.model_copy(update=dict(changes))
    config = load_config(run / "config.yaml")
    return network(model, card, choose_device("cpu")), config


def write(network: WindowNetwork, config: TrainingConfig, tell: Iterable[str]) -> None:
    """Fit the domain guard and write half-precision weights into the package."""
    card = fit_run_domain(network, config)
    target = Path(str(files("napari_segmoe") / "resources" / "weights"))
    path = target / f"{card.name}.safetensors"
    written = save_weights(path, network.model.to("cpu"), card, half=True)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    for name in (*tell, "domain"):
        print(name, getattr(written, name))
