"""Training procedures, one file each; `recipe_for` chooses."""

from napari_segmoe.training.config import RecipeName, TrainingConfig
from napari_segmoe.training.recipes.multitask import Multitask
from napari_segmoe.training.recipes.recipe import Recipe
from napari_segmoe.training.run_data import RunData

_RECIPES: dict[RecipeName, type[Recipe]] = {RecipeName.MULTITASK: Multitask}


def recipe_for(config: TrainingConfig, data: RunData) -> Recipe:
    """Return the recipe that a configuration names.

    Raises
    ------
    ConfigError
        If the configured network cannot be trained by it.
    """
    return _RECIPES[config.recipe](config, data)
