r"""Train decoder_interaction_lite with and without HMSF, TIM and UPA, and score it.

    python benchmarks/ablate_decoder_interaction.py --data DATA/busi --out RUNS \
        [--seeds 3] [--epochs 50] [--minutes 15]

All variants see the same images in the same order for the same epochs; everything
else is as in train_breast_ultrasound.py, but for a smaller input and fewer epochs.
Run again to go on. Writes ablations.decoder_interaction.json beside this script.
"""

from pathlib import Path

from ablation_runs import Ablation, Variant, run_ablation

RESULT = Path(__file__).with_name("ablations.decoder_interaction.json")
BASE = {
    "model": "decoder_interaction_lite",
    "modality": "ultrasound",
    "exclude": {"label_conflict": "1"},
    "empty_class": "normal",
    "encoder_weights": "imagenet",
    "input_px": 96,
    "epochs": 4,
    "batch_size": 16,
    "learning_rate": 2e-3,
    "encoder_rate_factor": 0.3,
    "warmup_steps": 20,
    "ema_decay": 0.97,
    "weight_decay": 0.03,
    "cross_entropy_weight": 0.5,
    "class_weight": 0.5,
    "false_positive_weight": 0.5,
    "false_negative_weight": 0.5,
    "texture_weight": 0.0,
    "prompt_share": 0.0,
    "object_head": False,
    "patience": 100,
    "validate_every": 2,
}
VARIANTS = (
    Variant("whole: HMSF, TIM, UPA", {}),
    Variant("without UPA", {"model_options": {"weighing": False}}),
    Variant(
        "without TIM and UPA",
        {"model_options": {"weighing": False, "interaction": False}},
    ),
    Variant("without HMSF", {"model_options": {"fusion": False}}),
    Variant(
        "none of them",
        {"model_options": {"weighing": False, "interaction": False, "fusion": False}},
    ),
)
BUDGET = "reduced: 96 px, few epochs"


if __name__ == "__main__":
    run_ablation(Ablation(RESULT, BASE, VARIANTS, BUDGET), __doc__)
