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

from pathlib import Path

from starter_weights import open_best, options_of, train, write

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.training.calibration import calibrate
from napari_segmoe.training.run_data import divide_items

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
    """Train both stages, or the mixture alone, or calibrate and ship."""
    parser = options_of(__doc__)
    parser.add_argument("--first-stage", default="", help="train the mixture alone")
    options = parser.parse_args()
    if options.ship:
        ship(options.out)
        return
    changes = MIXTURE if options.first_stage else {}
    train(SETTINGS | changes | {"first_stage": options.first_stage}, options)


def ship(run: Path) -> None:
    """Calibrate a run's best weights and write them into the package."""
    changes = {
        "refuse_below": 0.5,
        "part_below": PART_BELOW,
        "smallest_object_fraction": SMALLEST_OBJECT,
    }
    network, config = open_best(run, changes)
    _, validation = divide_items(read_data_folder(config.data), config)
    calibrate(network, validation)
    write(network, config, ("object_temperature", "refuse_below", "split"))


if __name__ == "__main__":
    main()
