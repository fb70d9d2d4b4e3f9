r"""Train the starter weights `glands_routing`, calibrate them and ship them.

    python benchmarks/train_glands_routing.py --data DATA/glas --out RUN [--resume]
    python benchmarks/train_glands_routing.py --data DATA/glas --out MIXTURE \
        --first-stage RUN/plain_skips.safetensors
    python benchmarks/train_glands_routing.py --data DATA/glas --out MIXTURE --ship

The first trains both stages as the paper has it, on the train split, from which
validation is carved by group; its routers ask the same two experts of nearly every
image. The second trains the mixture alone once more, with larger batches and a larger
expert-variance weight, so that routing depends on the image. The third chooses
temperatures and thresholds on that validation part and writes half-precision weights
with their card into the package. The test split is not read.
"""

import argparse
from importlib.resources import files
from pathlib import Path

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.inference.devices import choose_device
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.models.weights import load_weights, save_weights
from napari_segmoe.training.calibration import calibrate
from napari_segmoe.training.config import TrainingConfig, load_config, make_config
from napari_segmoe.training.domain_fit import fit_run_domain
from napari_segmoe.training.engine import fit
from napari_segmoe.training.run_data import describe_leak, divide_items

NAME = "glands_routing"
TITLE = "Glands in H&E colon sections, by experts whose routing shows: mask, class"
LICENCE = (
    "Weights for research only, no commercial use. Trained on GlaS (Sirinukunwattana et"
    " al. 2017, Medical Image Analysis 35:489-502), which is provided for research"
    " purposes only."
)
PART_BELOW = 0.6
SMALLEST_OBJECT = 0.004  # 262 um2; 1 % of the training glands are below 221 um2
SETTINGS = {
    "name": NAME,
    "title": TITLE,
    "licence": LICENCE,
    "model": "utanet_lite",
    "recipe": "two_stage",
    "modality": "histology",
    "organ": "colon",
    "image_head": False,
    "spacing_um": 1.0,
    "data_spacing_um": 0.62,
    "samples_per_image": 8,
    "batch_size": 4,
    "first_stage_epochs": 16,
    "epochs": 6,
    "learning_rate": 2e-3,
    "weight_decay": 0.03,
    "ema_decay": 0.995,
    "prompt_share": 0.45,
    "object_class_weight": 0.3,
    "label_smoothing": 0.1,
    "patience": 100,
    "validate_every": 3,
    "seed": 0,
}
MIXTURE = {"batch_size": 8, "epochs": 4, "expert_variance_weight": 0.05}


def main() -> None:
    """Train, or calibrate and ship."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--first-stage", default="", help="train the mixture alone")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--ship", action="store_true")
    options = parser.parse_args()
    if options.ship:
        ship(options.data, options.out)
        return
    changes = MIXTURE if options.first_stage else {}
    config = make_config(
        **SETTINGS | changes,
        data=options.data,
        out=options.out,
        threads=options.threads,
        first_stage=options.first_stage,
    )
    for event in fit(config, resume=options.resume):
        if event["event"] != "progress":
            print(event, flush=True)


def ship(data: Path, run: Path) -> None:
    """Calibrate a run's best weights and write them into the package."""
    config: TrainingConfig = load_config(run / "config.yaml")
    folder = read_data_folder(data)
    _, validation = divide_items(folder, config)
    model, card = load_weights(run / "best.safetensors")
    card = card.model_copy(
        update={
            "title": TITLE,
            "licence": LICENCE,
            "refuse_below": 0.5,
            "part_below": PART_BELOW,
            "smallest_object_fraction": SMALLEST_OBJECT,
            "split": card.split | describe_leak(folder),
        }
    )
    network = WindowNetwork(model, card, choose_device("cpu"))
    calibrate(network, validation)
    card = fit_run_domain(network, config)
    target = Path(str(files("napari_segmoe") / "resources" / "weights"))
    path = target / f"{NAME}.safetensors"
    written = save_weights(path, model.to("cpu"), card, half=True)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    for name in ("object_temperature", "refuse_below", "split", "domain"):
        print(name, getattr(written, name))


if __name__ == "__main__":
    main()
