r"""Train resformer_lite with and without DFE and classification, and score it.

    python benchmarks/ablate_resformer.py --data DATA/oct_kermany_lesions --out RUNS \
        [--seeds 3] [--epochs 50] [--minutes 15]

All variants see the same images in the same order for the same epochs. Run again to go
on. Writes ablations.resformer.json beside this script.
"""

from pathlib import Path

from ablation_runs import Ablation, Variant, run_ablation

RESULT = Path(__file__).with_name("ablations.resformer.json")
BASE = {
    "model": "resformer_lite",
    "modality": "oct",
    "input_px": 96,
    "epochs": 6,
    "batch_size": 8,
    "learning_rate": 2e-3,
    "warmup_steps": 20,
    "ema_decay": 0.97,
    "weight_decay": 0.03,
    "cross_entropy_weight": 1.0,
    "boundary_weight": 0.0,
    "false_positive_weight": 0.5,
    "false_negative_weight": 0.5,
    "tversky_gamma": 1.0,
    "texture_weight": 0.0,
    "prompt_share": 0.0,
    "object_head": False,
    "patience": 100,
    "validate_every": 2,
}
VARIANTS = (
    Variant("whole: DFE, classification", {}),
    Variant("without DFE", {"model_options": {"dfe": "none"}}),
    Variant("without classification", {"image_head": False}),
    Variant("neither", {"image_head": False, "model_options": {"dfe": "none"}}),
)
BUDGET = "reduced: 96 px, few epochs, no pretrained encoder"


if __name__ == "__main__":
    run_ablation(Ablation(RESULT, BASE, VARIANTS, BUDGET), __doc__)
