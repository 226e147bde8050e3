"""What can be shipped: the trained network of a run, or of each seed of a proof, with what is known of it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from lenette import identity, runs, text
from lenette.data import DATASETS
from lenette.data.preparation import Preparation, published
from lenette.errors import LenetteError, RunError
from lenette.evidence import networks
from lenette.evidence.proof import Proof, read_done, recipe_of
from lenette.inference import Network
from lenette.models.graph import Graph, graph
from lenette.recipes import Recipe
from lenette.runs import Run


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained network, and what a file that it is shipped in says of it.

    `accuracy` is a fraction of the `num_images` of `part` ("test", "validation" or "train"); `evidence` are sentences
    on what that figure rests on; `run` is the run that it is of, where it isn't a proof's.
    """

    name: str
    recipe: Recipe
    seed: int
    network: Network
    preparation: Preparation
    part: str
    accuracy: float
    num_images: int
    evidence: tuple[str, ...]
    run: Run | None = None

    @property
    def state(self) -> dict[str, torch.Tensor]:
        """Its weights and buffers by name."""
        return self.network.model.state_dict()

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of its weights (see `identity.weights`)."""
        return identity.weights(self.state)

    @cached_property
    def graph(self) -> Graph:
        """What it computes.

        Raises:
            NotAGraph: that can't be read; the layer or the line is named.
        """
        return graph(self.network.model, self.network.shape)

    @property
    def about(self) -> dict[str, object]:
        """What every form of it says of it, as plain values."""
        network = self.network
        return {
            "name": self.name,
            "recipe": self.recipe.name,
            "model": self.recipe.model,
            "dataset": self.recipe.dataset,
            "seed": self.seed,
            "weights_sha256": self.digest,
            "classes": list(network.classes),
            "shape": list(network.shape),
            "mean": list(network.mean),
            "std": list(network.std),
            "part": self.part,
            "accuracy": self.accuracy,
            "num_images": self.num_images,
        }


def find(
    name: "str | Path | Run", store: Path = runs.DEFAULT_STORE, seed: int | None = None, run_code: bool = False
) -> list[Trained]:
    """Return the trained network of a run, or those of a proof's seeds, the first seed first.

    Args:
        name: a run, what names one to `runs.find`, or a proof's file (.json).
        seed: of a proof, the one that is wanted; None for every one that has weights.
        run_code: whether a network that is somebody else's code may be run from now on.

    Raises:
        LenetteError: there is none, it has no weights, or may not be run.
    """
    if isinstance(name, Run):
        found = name
    elif str(name).endswith(".json"):
        return _of_proof(Path(name), store, seed, run_code)
    else:
        found = runs.find(str(name), store, run_code)
    if seed not in (None, found.seed):
        raise RunError(f"run {found.id} is of seed {found.seed}, not {seed}: a seed is chosen of a proof alone")
    return [_of_run(found)]


def _of_run(run: Run) -> Trained:
    part = run.part or "train"
    result = run.final[part]
    words = (
        f"{text.percent(result.accuracy)} of {result.num_images:,} {part} images, at the last epoch of one run "
        f"(seed {run.seed}). One run's figure is worth less than its digits say: "
        "other seeds differ, and so do other images.",
    )
    return Trained(
        run.id, run.recipe, run.seed, run.network(), run.preparation, part, result.accuracy, result.num_images, words,
        run,
    )  # fmt: skip


def _of_proof(path: Path, store: Path, seed: int | None, run_code: bool) -> list[Trained]:
    proof = read_done(path)
    recipe = recipe_of(proof)
    ended = {run.seed: run for run in proof.runs if run.weights is not None}
    if seed is not None and seed not in ended:
        raise RunError(f"{path} has no weights of seed {seed}; those that ended are {text.listed([*map(str, ended)])}")
    states = networks.find_weights(path, proof, store)
    if not states:
        raise RunError(f"the weights of {path} are neither beside it nor in {store}: copy its .safetensors there")
    wanted = [one for one in ended if one in states and seed in (None, one)]
    if not wanted:
        raise RunError(f"the weights of seed {seed} of {path} are not here")
    return [_of_seed(path, proof, recipe, one, states[one], run_code) for one in wanted]


def _of_seed(path: Path, proof: Proof, recipe: Recipe, seed: int, state: networks.State, run_code: bool) -> Trained:
    network = networks.network_of(path, proof, recipe, run_code)
    try:
        network.model.load_state_dict(state)
    except RuntimeError as error:
        raise LenetteError(f"the weights of seed {seed} of {path} don't fit its network: {error}") from error
    network.model.eval()
    accuracy = next(run.accuracy for run in proof.runs if run.seed == seed)
    assert accuracy is not None  # it ended
    known = proof.data.name in DATASETS
    return Trained(
        f"{proof.name}-s{seed}", recipe, seed, network, published(proof.data.name) if known else Preparation(),
        "test", accuracy, proof.test.num_images, _words(proof, seed, accuracy),
    )  # fmt: skip


def _words(proof: Proof, seed: int, accuracy: float) -> tuple[str, ...]:
    found = proof.summary
    lines = [
        f"This seed ({seed}): {text.percent(accuracy)} of {proof.test.num_images:,} test images at the last epoch."
    ]
    if found.mean is not None:
        lines.append(
            f"The recipe, over {text.count(found.num_seeds, 'seed')}: {text.percent(found.mean)} in the mean "
            f"({found.level:.0%} interval {text.percent_interval(found.low, found.high)}; "
            f"single seeds {text.percent_interval(found.minimum, found.maximum)})."
        )
    if proof.rule.accuracy is not None:
        lines.append(
            f"Held against an aim of {text.percent(proof.rule.accuracy)}, set before: {proof.verdict.verdict}."
        )
    return tuple(lines)
