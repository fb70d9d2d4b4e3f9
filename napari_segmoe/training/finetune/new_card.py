"""The card of weights that a round publishes."""

from collections.abc import Mapping

from napari_segmoe.models.card import WeightsCard
from napari_segmoe.training.finetune.prelude import Plan, Prelude


def card_of(
    prelude: Prelude,
    plan: Plan,
    name: str,
    figures: Mapping[str, float],
    *,
    drift: float = 1.0,
) -> WeightsCard:
    """Return the card: the base's, with the round, its corrections and its figures.

    It names no file, no path and nobody; units are salted hashes.

    Parameters
    ----------
    prelude : Prelude
    plan : Plan
    name : str
        The round's.
    figures : mapping of str to float
        What the guard saw.
    drift : float
        By what domain scores were multiplied; the limit of the card moves along.
    """
    base = prelude.card
    domain = base.domain
    if domain is not None:
        limit = round(domain.limit * max(drift, 1.0), 4)
        domain = domain.model_copy(update={"limit": limit})
    title = base.title if "corrected" in base.title else f"{base.title} (corrected)"
    units = set(base.training.get("units_learnt", ()))
    units |= {
        one.unit
        for one in plan.snapshot.objects
        if plan.snapshot.mode.value != "quarantine" or one.fold != 0
    }
    return base.model_copy(
        update={
            "name": base.name,
            "title": title.strip(),
            "domain": domain,
            "data": {
                **base.data,
                "corrected_objects": len(plan.snapshot.objects),
                "corrected_images": len(
                    {one.record.name for one in plan.snapshot.patches}
                ),
            },
            "training": {
                **base.training,
                "round": name,
                "round_from": base.name,
                "round_from_sha256": base.tensors_sha256,
                "units_learnt": sorted(units),
            },
            "metrics": {"hold_out": dict(figures), "base": base.metrics},
        }
    )
