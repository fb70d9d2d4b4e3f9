"""Train the starter weights `breast_ultrasound`, calibrate them and ship them.

    python benchmarks/train_breast_ultrasound.py --data DATA/busi --out RUN [--resume]
    python benchmarks/train_breast_ultrasound.py --data DATA/busi --out RUN --ship

The first trains on the train split, from which validation is carved by group; the
second chooses temperatures and thresholds on that validation part and writes
half-precision weights with their card into the package. The test split is not read.
"""

from pathlib import Path

from starter_weights import open_best, options_of, train, write

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.training.calibration import calibrate
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
    options = options_of(__doc__).parse_args()
    if options.ship:
        ship(options.out)
    else:
        train(SETTINGS, options)


def ship(run: Path) -> None:
    """Calibrate a run's best weights and write them into the package."""
    changes = {"refuse_below": 0.5, "smoothing_px": SMOOTHING_PX}
    network, config = open_best(run, changes)
    _, validation = divide_items(read_data_folder(config.data), config)
    calibrate(network, validation)
    told = ("image_temperature", "object_temperature", "empty_class_above")
    write(network, config, (*told, "refuse_below"))


if __name__ == "__main__":
    main()
