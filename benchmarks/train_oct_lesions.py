"""Train the starter weights `oct_lesions`, calibrate them and ship them.

    python benchmarks/train_oct_lesions.py --data DATA/oct_kermany_lesions --out RUN
    python benchmarks/train_oct_lesions.py --data DATA/oct_kermany_lesions --out RUN \
        --ship

The first trains on the train split, from which validation is carved by patient; the
second chooses temperatures and thresholds on that validation part and writes
half-precision weights with their card into the package. The test split is not read.

Classes with fewer than 20 training images do not stand alone: the one subretinal_fluid
counts as neuroepithelium_detachment, which is fluid under the retina as well, and
vitreous_detachment and vitreomacular_traction as vitreoretinal_interface.
"""

import argparse
from importlib.resources import files
from pathlib import Path

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.inference.devices import choose_device
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.models.weights import load_weights, save_weights
from napari_segmoe.training.calibration import calibrate
from napari_segmoe.training.cases import shared_classes
from napari_segmoe.training.config import TrainingConfig, load_config, make_config
from napari_segmoe.training.domain_fit import fit_run_domain
from napari_segmoe.training.engine import fit
from napari_segmoe.training.run_data import divide_items

NAME = "oct_lesions"
TITLE = (
    "Lesions in macular OCT: cysts, drusen, holes, detachments, hyperreflective"
    " material; several classes in one image"
)
LICENCE = (
    "CC BY 4.0. Trained on B-scans of Kermany et al. 2018 (Cell 172:1122-1131, CC BY"
    " 4.0) with the lesion outlines of a public student project (CC BY 4.0)."
)
SMALLEST_OBJECT = 5e-4  # 40 of 78 000 px
UNCERTAIN_BELOW = 0.5  # of six classes
SETTINGS = {
    "name": NAME,
    "title": TITLE,
    "licence": LICENCE,
    "model": "resformer_lite",
    "modality": "oct",
    "organ": "retina",
    "merge_classes": {
        "subretinal_fluid": "neuroepithelium_detachment",
        "vitreomacular_traction": "vitreoretinal_interface",
        "vitreous_detachment": "vitreoretinal_interface",
    },
    "rare_below": 0.25,
    "class_loss": "multi_label",
    "class_weight": 0.25,
    "segmentation_weight": 1.0,
    "mask_class_weight": 0.5,
    "object_class_weight": 0.3,
    "label_smoothing": 0.05,
    "false_positive_weight": 0.5,
    "false_negative_weight": 0.5,
    "tversky_gamma": 1.0,
    "cross_entropy_weight": 1.0,
    "boundary_weight": 0.0,
    "texture_weight": 0.0,
    "prompt_share": 0.6,
    "epochs": 40,
    "learning_rate": 2e-3,
    "weight_decay": 0.03,
    "ema_decay": 0.995,
    "patience": 100,
    "validate_every": 4,
    "seed": 0,
}


def main() -> None:
    """Train, or calibrate and ship."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=SETTINGS["epochs"])
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--ship", action="store_true")
    options = parser.parse_args()
    if options.ship:
        ship(options.data, options.out)
        return
    settings = SETTINGS | {"epochs": options.epochs}
    config = make_config(
        **settings, data=options.data, out=options.out, threads=options.threads
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
            "smallest_object_fraction": SMALLEST_OBJECT,
            "uncertain_below": UNCERTAIN_BELOW,
        }
    )
    network = WindowNetwork(model, card, choose_device("cpu"))
    calibrate(network, validation, mask_classes=shared_classes(folder, card))
    card = fit_run_domain(network, config)
    target = Path(str(files("napari_segmoe") / "resources" / "weights"))
    path = target / f"{NAME}.safetensors"
    written = save_weights(path, model.to("cpu"), card, half=True)
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
    for name in ("object_temperature", "refuse_below", "mask_classes", "domain"):
        print(name, getattr(written, name))


if __name__ == "__main__":
    main()
