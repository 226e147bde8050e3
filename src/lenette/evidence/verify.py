"""verify(file): a proof's figures, computed anew from its weights, and its verdict, from those figures.

The walk: what stands in the file must fit together (`proof`, `entry`, `rule`); the images and the network are taken
from this machine, the weights from beside the file, from the store or from seeds trained again; every seed's wrong
images are counted anew; and what follows from them must be what the file says.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec
import torch

from lenette import data, jobs, models, runs, training
from lenette.errors import DataError, LenetteError, RunError
from lenette.evidence import networks, version1
from lenette.evidence.again import Again, train_again
from lenette.evidence.entry import SAME_IMAGES, Entry, accuracy_of, run_faults, same_loss
from lenette.evidence.networks import NotHere, State
from lenette.evidence.proof import Proof, data_faults, file_faults, read_done, recipe_faults, recipe_of
from lenette.evidence.rule import (
    Certificate,
    Conclusion,
    certificate,
    conclude,
    conclusion_faults,
    on_record,
    rule_faults,
)
from lenette.evidence.sealed import wrong
from lenette.inference import Network
from lenette.metrics import evaluate
from lenette.recipes import Recipe
from lenette.records import Record
from lenette.text import count, number

# An image may be counted otherwise than recorded only where the logit of its class and the highest other one lie closer
# than this, relative to its largest logit. In all networks of the shipped proofs PyTorch's float32 logits differ from
# float64 ones by at most 9.2e-7 so measured; two machines or engines by twice that, and this is five times more. Of
# 10,000 images it leaves a network one or none.
TIE = 1e-5

Say = Callable[[str], None]


class Check(Record, frozen=True):
    """What was checked, and what did not fit, in sentences."""

    check: str
    faults: list[str]


class Verification(Record, frozen=True, kw_only=True):
    """What `verify` found. Only a proof that is verified has a conclusion, and a certificate where it has a budget.

    `missing` says what could not be recomputed here, and what would change that; `told` what else to know of what was
    recomputed; `on_record` what no figure can show. The conclusion is drawn from the recomputed figures.
    """

    proof: str
    name: str
    end: Literal["verified", "refused", "not verifiable here"]
    checks: list[Check]
    missing: list[str]
    told: list[str]
    again: list[Again]
    on_record: list[str]
    conclusion: Conclusion | None = None
    certificate: Certificate | None = None


def verify(
    path: str | Path,
    *,
    retrain: Sequence[int] | Literal["all"] = (),
    folder: str | Path | None = None,
    store: str | Path = runs.DEFAULT_STORE,
    run_code: bool = False,
    say: Say = lambda line: None,
    progress: training.Tell | None = None,
) -> Verification:
    """Check a proof: "verified", "refused", or "not verifiable here", where nothing is granted to it.

    Every seed's wrong images are counted anew from its weights: those beside the file, else those of any run in `store`
    with the recorded digest, else of seeds trained again. For a sealed proof this repeats a published figure, and is
    not written down as an opening.

    Args:
        retrain: seeds to train again, on the same engine with as many threads, or "all".
        folder: where the data set lies.
        run_code: whether a network of the proof's author, Python code, may be run.
        say: is given a line a seed.
        progress: is given the Progress of a seed in training.

    Raises:
        LenetteError: the file is no whole proof, or a seed to retrain is not in it.
    """
    path = Path(path)
    proof = read_done(path)
    recipe = recipe_of(proof)
    chosen = _chosen(path, proof, retrain)
    found = _Found()
    try:
        _on_paper(path, proof, recipe, found)
        images = _images(proof, recipe, folder, found)
        network, counted = _network(path, proof, recipe, run_code, found)
        states = _weights(path, proof, Path(store), found)
        again = functools.partial(train_again, proof, recipe, network, images, folder, progress)
        states |= _retrained(chosen, again, say, found)
        entries = _recomputed(path, proof, states, network, images, say, found)
        conclusion = _conclusion(counted, entries, recipe, found)
    except NotHere as missing:
        found.missing.append(str(missing))
    except _Refused:
        pass
    result = Verification(
        proof=str(path),
        name=proof.name,
        end="refused" if found.is_refused else "not verifiable here" if found.missing else "verified",
        checks=[Check(name, faults) for name, faults in found.checks.items()],
        missing=found.missing,
        told=found.told,
        again=found.again,
        on_record=on_record(proof, recipe),
    )
    if result.end != "verified":
        return result
    granted = certificate(conclusion, counted.network.counts)
    return msgspec.structs.replace(result, conclusion=conclusion, certificate=granted)


class _Refused(Exception):
    """A check failed: what is left would rest on what is wrong."""


@dataclass
class _Found:
    """What a verification under way has found so far."""

    checks: dict[str, list[str]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    again: list[Again] = field(default_factory=list)

    @property
    def is_refused(self) -> bool:
        return any(self.checks.values())

    def hold(self, check: str, faults: Iterable[str]) -> None:
        """Write down a check; raise _Refused where there are faults."""
        self.checks[check] = list(faults)
        if self.checks[check]:
            raise _Refused


def _chosen(path: Path, proof: Proof, retrain: Sequence[int] | Literal["all"]) -> list[Entry]:
    there = {run.seed: run for run in proof.runs}
    chosen = there if retrain == "all" else dict.fromkeys(retrain)
    for seed in chosen:
        if seed not in there:
            raise LenetteError(f"{path} has no run of seed {seed}; it has {', '.join(map(str, there))}")
    return [there[seed] for seed in chosen]


def _on_paper(path: Path, proof: Proof, recipe: Recipe, found: _Found) -> None:
    """Hold the file to itself; all its faults are named."""
    found.checks = {
        "the file": list(version1.faults(path, proof, recipe) if proof.version == 1 else file_faults(proof)),
        "recipe, data and engine": list(recipe_faults(proof, recipe)),
        "rule": list(rule_faults(proof, recipe)),
        "runs": [f"seed {run.seed}: {fault}" for run in proof.runs for fault in run_faults(proof, recipe, run)],
        "summary, verdict and budget": list(conclusion_faults(proof, recipe)),
    }
    if found.is_refused:
        raise _Refused


def _images(proof: Proof, recipe: Recipe, folder: str | Path | None, found: _Found) -> data.Dataset:
    """Return the test images, having held them and the training images to what is recorded."""
    try:
        train, test = (jobs.part(recipe, part, folder) for part in ("train", "test"))
    except DataError as error:
        raise NotHere(str(error)) from error
    faults = list(data_faults(proof, train, test))
    if faults and recipe.dataset not in data.DATASETS:  # whose images may be anybody's
        raise NotHere(f"{'; '.join(faults)}: --data names the folder of those that the proof is of")
    found.hold("data", faults)
    return test


def _network(path: Path, proof: Proof, recipe: Recipe, run_code: bool, found: _Found) -> tuple[Network, Proof]:
    """Return the network, having held it to what is recorded of it, and the proof with its numbers as counted here."""
    network = networks.network_of(path, proof, recipe, run_code)
    found.hold("the network's size", networks.network_faults(network, proof))
    counts = models.count(network.model)
    counted = msgspec.structs.replace(proof.network, counts=counts)
    return network, msgspec.structs.replace(proof, network=counted)


def _weights(path: Path, proof: Proof, store: Path, found: _Found) -> dict[int, State]:
    try:
        return networks.find_weights(path, proof, store)
    except RunError as error:
        found.hold("weights", [str(error)])
        raise


def _retrained(
    chosen: Sequence[Entry], again: Callable[[Entry], tuple[Again, State]], say: Say, found: _Found
) -> dict[int, State]:
    """Train runs again; return the weights of those that came to what is recorded, none for a run that diverged."""
    states, faults = {}, []
    for run in chosen:
        name = f"seed {run.seed}, trained again"
        say(f"seed {run.seed} is trained again")
        try:
            made, state = again(run)
        except LenetteError as error:
            found.missing.append(f"{name}: {error}")
            continue
        found.again.append(made)
        if made.same_weights:
            states[run.seed] = state
        faults += [f"{name}{fault}" for fault in made.faults()]
    if chosen:
        found.hold("trained again", faults)
    return states


def _recomputed(
    path: Path, proof: Proof, states: dict[int, State], network: Network, images: data.Dataset, say: Say, found: _Found
) -> list[Entry]:
    """Return the runs with the figures that their weights have here; raise NotHere where some have no weights here."""
    entries, faults, absent = [], [], []
    for run in proof.runs:
        entry = run
        if run.seed not in states:
            absent.append(str(run.seed))
        elif run.status != "diverged":
            entry, fault = _held_to_weights(run, states[run.seed], network, images, found)
            said = fault or "as recorded"
            say(f"seed {run.seed}: {len(entry.wrong or []):,} of {len(images):,} images wrong: {said}")
            faults += [f"seed {run.seed}: {fault}"] * bool(fault)
        entries.append(entry)
    found.hold("accuracy, recomputed from the weights", faults)
    if absent:
        named = f"--retrain {' --retrain '.join(absent)}" if len(absent) < min(4, len(entries)) else "--retrain all"
        raise NotHere(
            f"the weights of {count(len(absent), 'seed')} ({', '.join(absent[:10])}{', ...' * (len(absent) > 10)}) are "
            f"neither beside {path} nor in the store: --store names another one, and {named} makes them again"
        )
    return entries


def _held_to_weights(
    run: Entry, state: State, network: Network, images: data.Dataset, found: _Found
) -> tuple[Entry, str]:
    """Return the run with the figures of its weights, and what is wrong with those recorded, or ""."""
    form, wanted = ({k: (v.dtype, v.shape) for k, v in each.items()} for each in (state, network.model.state_dict()))
    if form != wanted:
        return run, "the weights do not fit the network"
    if not all(value.isfinite().all() for value in state.values()):
        return run, "its weights hold numbers that are not finite"
    network.model.load_state_dict(state)
    logits = network.logits(images.images)
    here, loss = wrong(logits, images.labels), evaluate(logits, images.labels).loss
    entry = msgspec.structs.replace(run, wrong=here, accuracy=accuracy_of(here, len(images)), loss=loss)
    others = sorted(set(here) ^ set(run.wrong or []))
    tied = [place for place in others if _is_tie(logits[place], int(images.labels[place]))]
    if tied != others or len(tied) > SAME_IMAGES:
        return entry, (
            f"its weights leave {len(here)} of {len(images):,} images wrong; recorded are {len(run.wrong or [])}, "
            f"and they differ in {count(len(others), 'image')}"
        )
    if not same_loss(loss, run.loss):
        return entry, f"its weights have a test loss of {number(loss, 6)}; recorded is {number(run.loss, 6)}"
    if tied:
        found.told.append(
            f"seed {run.seed}: image {' and '.join(map(str, tied))} is counted otherwise here than recorded, as two "
            "machines may where the two highest logits nearly tie"
        )
    return entry, ""


def _is_tie(logits: torch.Tensor, label: int) -> bool:
    """Say whether the logit of the image's class and the highest other one, of logits [classes], nearly tie."""
    others = torch.cat([logits[:label], logits[label + 1 :]])
    return bool((logits[label] - others.max()).abs() <= TIE * logits.abs().max())


def _conclusion(proof: Proof, entries: list[Entry], recipe: Recipe, found: _Found) -> Conclusion:
    """Return what follows from the recomputed figures, which must be what follows from the recorded ones."""
    recorded, recomputed = conclude(proof, proof.runs, recipe), conclude(proof, entries, recipe)
    pair = recorded.verdict.verdict, recomputed.verdict.verdict
    found.hold(
        "the same verdict from both",
        [f"from the recorded images it is '{pair[0]}', from those recomputed '{pair[1]}': a tolerance would decide"]
        * (pair[0] != pair[1]),
    )
    return recomputed
