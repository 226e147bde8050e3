"""What version 1 of lenette (until November 2026) called a recipe's digest: its proofs and runs are named by it."""

import hashlib
import json

from lenette.recipes.recipe import Recipe

FIELDS = (
    *("model", "dataset", "protocol", "fold", "epochs", "batch_size", "optimizer", "lr", "momentum", "nesterov"),
    *("beta1", "beta2", "eps", "weight_decay", "schedule", "step_epochs", "milestones", "gamma", "start_factor"),
    *("end_factor", "warmup_fraction", "restart_epochs", "restart_factor", "label_smoothing", "ema_decay", "precision"),
    *("evaluate_train", "rotation", "translation", "scale", "shear", "crop_size", "crop_probability", "crop_padding"),
    *("brightness", "contrast", "erase_size", "erase_probability"),
)


def digest_v1(recipe: Recipe) -> str:
    """Return the SHA-256 (hex) of all fields that changed numbers, those at their default included."""
    values = {name: value for name in FIELDS if (value := getattr(recipe, name)) is not None}
    source, _, function = recipe.model.rpartition(":")
    if source.endswith(".py"):
        values["model"] = f"file:{function}"
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
