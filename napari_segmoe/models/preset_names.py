"""The presets' names, for lists that must not load torch."""

PRESETS = (
    "decoder_interaction_lite",
    "mixsearch_lite",
    "resformer_lite",
    "semi_moe_lite",
    "utanet_lite",
    "decoder_interaction",
    "mixsearch",
    "resformer_parallel",
    "resformer_sequential",
    "semi_moe",
    "utanet",
)
