"""Train the starter weights `oct_lesions`, calibrate them and ship them.

    python benchmarks/train_oct_lesions.py --data DATA/oct_kermany_lesions --out RUN
    python benchmarks/train_oct_lesions.py --data DATA/oct_kermany_lesions --out RUN \
        --ship

The first trains on the train split, from which validation is carved by patient; the
second learns the region head anew with every class as frequent as the others, chooses
temperatures and thresholds on that validation part and writes half-precision weights
with their card into the package. The test split is not read.

Classes with fewer than 20 training images do not stand alone: the one subretinal_fluid
counts as neuroepithelium_detachment, which is fluid under the retina as well, and
vitreous_detachment and vitreomacular_traction as vitreoretinal_interface.
"""

from pathlib import Path

from refit_region_head import refit
from starter_weights import open_best, options_of, train, write

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.training.calibration import calibrate
from napari_segmoe.training.cases import shared_classes
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
CONTEXT = "layers"  # of the refitted region head: what lies above and below
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
    "epochs": 48,
    "learning_rate": 2e-3,
    "weight_decay": 0.03,
    "ema_decay": 0.995,
    "patience": 100,
    "validate_every": 4,
    "seed": 0,
}


def main() -> None:
    """Train, or calibrate and ship."""
    options = options_of(__doc__).parse_args()
    if options.ship:
        ship(options.out)
    else:
        train(SETTINGS, options)


def ship(run: Path) -> None:
    """Refit the region head, calibrate and write the best weights into the package."""
    changes = {
        "refuse_below": 0.5,
        "smallest_object_fraction": SMALLEST_OBJECT,
        "uncertain_below": UNCERTAIN_BELOW,
    }
    network, config = open_best(run, changes)
    for name, figures in refit(network.model, config, context=CONTEXT).items():
        print(f"{name} region head", figures)
    folder = read_data_folder(config.data)
    _, validation = divide_items(folder, config)
    calibrate(network, validation, mask_classes=shared_classes(folder, network.card))
    write(network, config, ("object_temperature", "refuse_below", "mask_classes"))


if __name__ == "__main__":
    main()
