"""A proof's seeds trained again: the same bits by the same build, else a comparison of distributions."""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from lenette import identity, records, runs, training
from lenette.data import Dataset
from lenette.errors import Diverged, LenetteError
from lenette.evidence.entry import Curve, Entry, accuracy_of
from lenette.evidence.networks import State, read_weights
from lenette.evidence.proof import Proof
from lenette.evidence.sealed import wrong
from lenette.inference import Network
from lenette.recipes import Recipe
from lenette.records import Record
from lenette.stats import position
from lenette.text import percent, percent_interval

LEVEL = 0.999  # of the interval in which a seed trained again by another build must lie


class Again(Record, frozen=True, kw_only=True):
    """A seed trained again: its bits beside the recorded ones.

    Where another build gave other bits, `low` to `high` is the interval in which one more run like the recorded ones
    lies at `level`, and `inside` whether this one does; accuracies are None for a run that diverged.
    """

    seed: int
    same_build: bool
    same_weights: bool
    same_curve: bool
    accuracy: float | None
    recorded: float | None
    level: float = LEVEL
    low: float | None = None
    high: float | None = None
    inside: bool | None = None

    @property
    def is_same(self) -> bool:
        """Whether all bits are those recorded."""
        return self.same_weights and self.same_curve

    def faults(self) -> Iterator[str]:
        """Yield what can't be if the record is right, as the rest of a sentence."""
        if self.same_build and not self.is_same:
            which = " and ".join(name for name in ("weights", "curve") if not getattr(self, f"same_{name}"))
            yield f": the same engine and threads give another {which} here than recorded"
        if self.inside is False and not self.same_build and self.low is not None and self.high is not None:
            yield (
                f" by another build: its accuracy, {percent(self.accuracy, 3)}, lies outside of "
                f"{percent_interval(self.low, self.high, 3)}, where a run like those recorded lies at {self.level:.1%}"
            )


def train_again(
    proof: Proof,
    recipe: Recipe,
    network: Network,
    images: Dataset,
    folder: str | Path | None,
    progress: training.Tell | None,
    run: Entry,
) -> tuple[Again, State]:
    """Train a run of a proof again, on the same engine; return how it compares, and its weights ({} if it diverged).

    Args:
        network: the proof's, with any weights.
        images: the test images.
        folder: where the data set lies.

    Raises:
        LenetteError: it was cut by the clock, so that no run repeats it, or can't be trained here.
    """
    if run.status == "cut":
        raise LenetteError(
            f"seed {run.seed} was cut by the clock, at {recipe.max_seconds:g} s: no run repeats its bits"
        )
    engine = proof.engine
    with tempfile.TemporaryDirectory() as store:
        try:
            made = training.train(
                recipe,
                run.seed,
                folder=folder,
                engine=engine.name,
                device=engine.device,
                threads=engine.threads,
                store=store,
                progress=progress,
                source=proof.network.source or None,
            )
        except Diverged:
            (made,) = runs.in_store(Path(store))
        state = {} if made.status == "diverged" else read_weights(made.folder / "model.safetensors")
        curve = records.convert(records.plain(made.curve), Curve, "the curve")
        asked = made.about.question
        same_build = made.build == engine.build and asked is not None and asked.versions == proof.versions
    accuracy = None
    if state:
        network.model.load_state_dict(state)
        accuracy = accuracy_of(wrong(network.logits(images.images), images.labels), len(images))
    found = Again(
        seed=run.seed,
        same_build=same_build,
        same_weights=(identity.weights(state) if state else None) == run.weights,
        same_curve=_timeless(curve) == _timeless(run.curve),
        accuracy=accuracy,
        recorded=run.accuracy,
    )
    return found if found.same_weights else _placed(found, proof), state


def _placed(found: Again, proof: Proof) -> Again:
    """Return where an accuracy of other bits lies among those recorded."""
    recorded = [run.accuracy for run in proof.runs if run.accuracy is not None]
    if found.accuracy is None or not recorded:
        return found
    place = position(found.accuracy, recorded, LEVEL)
    if not math.isfinite(place.low):
        return found
    return msgspec.structs.replace(found, low=place.low, high=place.high, inside=place.inside)


def _timeless(curve: Curve) -> dict[str, Any]:
    return {name: column for name, column in curve.columns().items() if not name.endswith("_seconds")}
