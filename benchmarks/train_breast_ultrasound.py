"""Train the starter weights `breast_ultrasound`, calibrate them and ship them.

    python benchmarks/train_breast_ultrasound.py --data DATA/busi --out RUN [--resume]
    python benchmarks/train_breast_ultrasound.py --data DATA/busi --out RUN --ship

The first trains on the train split, from which validation is carved by group; the
second chooses temperatures and thresholds on that validation part and writes
half-precision weights with their card into the package. The test split is not read.
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
from napari_segmoe.training.run_data import divide_items

NAME = "breast_ultrasound"
TITLE = "Breast lesions in B-mode ultrasound: mask, benign / malignant, normal"
LICENCE = (
    "Weights for research only. Trained on BUSI (Al-Dhabyani et al. 2020, Data in"
    " Brief 28:104863), whose authors' page states no licence."
)
SMOOTHING_PX = 1.5  # best of 0, 1, 1.5, 2, 3 on the validation images
SETTINGS = {
    "name": NAME,
    "title": TITLE,
    "licence": LICENCE,
    "modality": "ultrasound",
    "organ": "breast",
    "exclude": {"label_conflict": "1"},
    "empty_class": "normal",
    "encoder_weights": "imagenet",
    "epochs": 60,
    "learning_rate": 1e-3,
    "encoder_rate_factor": 0.3,
    "weight_decay": 0.03,
    "false_positive_weight": 0.5,
    "false_negative_weight": 0.5,
    "cross_entropy_weight": 0.5,
    "class_weight": 0.5,
    "object_class_weight": 0.3,
    "patience": 100,
    "label_smoothing": 0.1,
    "warp_reach": 1.4,
    "validate_every": 3,
    "seed": 0,
}


def main() -> None:
    """Train, or calibrate and ship."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--ship", action="store_true")
    options = parser.parse_args()
    if options.ship:
        ship(options.data, options.out)
        return
    config = make_config(
        **SETTINGS, data=options.data, out=options.out, threads=options.threads
    )
    for event in fit(config, resume=options.resume):
        if event["event"] != "progress":
            print(event, flush=True)


def ship(data: Path, run: Path) -> None:
    """Calibrate a run's best weights and write them into the package."""
    config: TrainingConfig = load_config(run / "config.yaml")
    _, validation = divide_items(read_data_folder(data), config)
    model, card = load_weights(run / "best.safetensors")
    card = card.model_copy(
        update={
            "title": TITLE,
            "licence": LICENCE,
            "refuse_below": 0.5,
            "smoothing_px": SMOOTHING_PX,
        }
    )
    network = WindowNetwork(model, card, choose_device("cpu"))
    calibrate(network, validation)
    card = fit_run_domain(network, config)
    target = Path(str(files("napari_segmoe") / "resources" / "weights"))
    path = target / f"{NAME}.safetensors"
    written = save_weights(path, model.to("cpu"), card, half=True)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    for name in ("image_temperature", "object_temperature", "empty_class_above"):
        print(name, getattr(written, name))
    print("refuse_below", written.refuse_below)
    print("domain", written.domain)


if __name__ == "__main__":
    main()
