"""Training procedures, one file each; `recipe_for` chooses."""

from napari_segmoe.training.config import RecipeName, TrainingConfig
from napari_segmoe.training.recipes.multitask import Multitask
from napari_segmoe.training.recipes.recipe import Recipe
from napari_segmoe.training.recipes.semi_supervised import SemiSupervised
from napari_segmoe.training.recipes.supervised import Supervised
from napari_segmoe.training.recipes.two_stage import TwoStage
from napari_segmoe.training.run_data import RunData

_RECIPES: dict[RecipeName, type[Recipe]] = {
    RecipeName.MULTITASK: Multitask,
    RecipeName.SEMI_SUPERVISED: SemiSupervised,
    RecipeName.SUPERVISED: Supervised,
    RecipeName.TWO_STAGE: TwoStage,
}


def recipe_for(config: TrainingConfig, data: RunData) -> Recipe:
    """Return the recipe that a configuration names.

    Raises
    ------
    ConfigError
        If the configured network cannot be trained by it.
    """
    return _RECIPES[config.recipe](config, data)
