r"""Choose temperatures and thresholds of shipped weights again; no tensor changes.

    python benchmarks/calibrate_again.py oct_lesions --data DATA/oct_kermany_lesions

For when the rules of `napari_segmoe.training.calibration` change. The images are the
validation images that the card names (checked by their hash), as `--ship` of the
training scripts takes them.
"""

import argparse
from pathlib import Path

from add_domain_guard import config_of, split_hash_of

from napari_segmoe.data.folder import read_data_folder
from napari_segmoe.inference.devices import choose_device
from napari_segmoe.inference.network import WindowNetwork
from napari_segmoe.models.card import find_weights
from napari_segmoe.models.weights import load_weights, replace_card
from napari_segmoe.training.calibration import calibrate
from napari_segmoe.training.cases import shared_classes
from napari_segmoe.training.run_parts import read_parts

LOOSE = {"image_temperature": 1.0, "object_temperature": 1.0, "empty_class_above": 1.0}
TOLD = (*LOOSE, "refuse_below")


def main() -> None:
    """Calibrate, write the card, and print what changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights")
    parser.add_argument("--data", type=Path, required=True, nargs="+")
    options = parser.parse_args()
    path = find_weights(options.weights)
    model, before = load_weights(path)
    config = config_of(before, options.data)
    if split_hash_of(config) != before.split["sha256"]:
        raise SystemExit(f"{path.name} was not trained on {options.data}.")
    loose = before.model_copy(update=LOOSE | {"domain": None})
    network = WindowNetwork(model, loose, choose_device("cpu"))
    images = [item for part in read_parts(config) for item in part.validation]
    classes = shared_classes(read_data_folder(options.data[0]), before)
    found = calibrate(network, images, mask_classes=classes)
    card = replace_card(path, found.model_copy(update={"domain": before.domain}))
    for name in TOLD:
        print(f"{name}: {getattr(before, name)} -> {getattr(card, name)}")


if __name__ == "__main__":
    main()
