"""prove(recipe) -> proof: many fresh seeds under a rule that is written down before the first of them is trained.

While it is being made the file holds the header alone, so that a proof that was cut off goes on under the rule that it
began with.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec
from filelock import FileLock, Timeout

from lenette import data, identity, ledger, many, models, recipes, records, runs
from lenette.environment import Environment
from lenette.errors import RunError
from lenette.evidence import sealed
from lenette.evidence.entry import SAME_IMAGES, Curve, Ended, Entry, accuracy_of
from lenette.evidence.networks import MAX_KEPT, State, read_weights, write_weights
from lenette.evidence.proof import (
    Begun,
    Data,
    Engine,
    Looks,
    Network,
    Proof,
    Rule,
    Test,
    read,
    read_done,
    recipe_of,
    sealed_up,
    write,
)
from lenette.evidence.rule import FIRST_SEED, conclude, make_rule, with_preset
from lenette.jobs import Identified, identify, part
from lenette.metrics import evaluate
from lenette.recipes import Recipe
from lenette.runs import Run

DEFAULT_FOLDER = Path("proofs")


def prove(
    recipe: Recipe | str,
    accuracy: float | None = None,
    seeds: int = 10,
    first_seed: int = FIRST_SEED,
    *,
    preset: str | None = None,
    out: str | Path | None = None,
    folder: str | Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int = 1,
    processes: int | None = None,
    store: str | Path = runs.DEFAULT_STORE,
    progress: many.Tell | None = None,
    **changes: Any,
) -> Proof:
    """Train a recipe on fresh seeds and say whether their mean test accuracy reaches `accuracy`; return the proof.

    The rule is `stats.verdict`'s (a one-sided Student-t bound of the mean at 95 %; see there what it assumes), with one
    addition: a run that diverges refutes. It is written to `out` before the first run. A sealed recipe is trained on
    all training images for the same epochs, and its test set opened once the last run has ended. A proof that was cut
    off goes on, and ends as if it had not been; one that is done is found.

    Args:
        accuracy: a fraction; without it the preset's, or the recipe's claim where that is of the last epoch. 0: no
            claim, the accuracy is only measured.
        preset: a key of `rule.PRESETS`: a budget, and an accuracy.
        out: the JSON file (else `default_path`). Where all weights together take at most 1 MB they lie beside it.
        folder, engine, device, threads, processes, store, progress: as in `many.run`.
        changes: fields of the recipe to change.

    Raises:
        LenetteError: the recipe, data, network or budget won't do, or `out` holds another proof.
        KeyboardInterrupt: on Ctrl-C; the same call goes on.
    """
    recipe = (runs.load_recipe(recipe, Path(store)) if isinstance(recipe, str) else recipe).but(**changes)
    if preset is not None:
        recipe, accuracy_of_preset = with_preset(recipe, preset)
        accuracy = accuracy_of_preset if accuracy is None else accuracy
    if recipe.protocol == "sealed":
        recipe = recipe.but(fold=-1)
    goal = claim_to_prove(recipe) if accuracy is None else accuracy
    rule = make_rule(recipe, goal or None, seeds, first_seed)
    asked = identify(recipe, rule.seeds[0], folder, engine, device, threads)
    out, store = default_path(recipe, preset) if out is None else Path(out), Path(store)
    store.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(store / f".{out.stem}.lock", timeout=0):
            proof = _begin(out, header(recipe, rule, asked))
            if not isinstance(proof, Proof):
                jobs = [(recipe, seed) for seed in rule.seeds]
                made = many.run(
                    jobs,
                    folder=folder,
                    engine=engine,
                    device=device,
                    threads=threads,
                    processes=processes,
                    store=store,
                    progress=progress,
                )
                _finish(out, store, proof, made, part(recipe, "test", folder))
            return read_done(out)
    except Timeout:
        raise RunError(f"the proof {out} is being made by another process") from None


def claim_to_prove(recipe: Recipe) -> float:
    """Return the accuracy that a recipe's document claims of the last epoch, 0 for none: no best epoch is proven."""
    return recipe.claim_test_accuracy if recipe.claim_statistic == "last" else 0.0


def default_path(recipe: Recipe, preset: str | None = None) -> Path:
    """Return where a proof is written if nobody says where."""
    asked = recipe.but(fold=0) if recipe.protocol == "sealed" else recipe  # all are proven on all training images
    return DEFAULT_FOLDER / f"{'-'.join(filter(None, (recipes.named(asked) or 'recipe', preset)))}.json"


def header(recipe: Recipe, rule: Rule, asked: Identified) -> Begun:
    """Return all that is known of a proof before its first run; `asked` is its first run."""
    images, choice, network = asked.images, asked.choice, asked.question.network
    place, _, function = recipe.model.rpartition(":")
    anywhere = recipe.but(model=f"{Path(place).name}:{function}") if models.is_file(recipe.model) else recipe
    return Begun(
        name=recipe.name,
        begun=_now(),
        rule=rule,
        recipe=anywhere.to_toml(),
        versions=asked.question.versions,
        numbers=asked.question.recipe,
        data=Data(
            images.name,
            images.digest,
            len(images),
            list(images.classes),
            list(images.images.shape[1:]),
            list(images.mean),
            list(images.std),
        ),
        engine=Engine(choice.name, choice.device, choice.threads, choice.build),
        network=Network(
            network.structure,
            asked.source,
            network.source,
            models.count(asked.network),
            models.num_bytes(asked.network.state_dict()),
        ),
    )


def _begin(out: Path, new: Begun) -> Begun:
    """Write the header, or return what the file holds: the same proof, begun or done."""
    if not out.exists():
        write(out, new)
        return read(out)
    old = read(out)
    changed = [name for name in Begun.__struct_fields__ if name != "begun" and getattr(old, name) != getattr(new, name)]
    if changed:
        raise RunError(
            f"{out} holds another proof: its {', '.join(changed)} differ, and a rule stands once it is written; "
            "name another file with --out"
        )
    return old


def _finish(out: Path, store: Path, begun: Begun, made: list[Run], images: data.Dataset) -> None:
    """Evaluate the runs on the test images, draw the conclusions and write them, the weights first."""
    environments: list[Environment] = []
    entries, states = [], {}
    for run in made:
        if run.build != begun.engine.build:
            raise RunError(f"run {run.id} was made by another build than {out} was begun with: name another --out")
        if run.environment not in environments:
            environments.append(run.environment)
        state = {} if run.status == "diverged" else read_weights(run.folder / "model.safetensors")
        entries.append(_entry(run, state, images, environments.index(run.environment)))
        if state:
            states[run.seed] = state
    kept = out.with_suffix(".safetensors")
    keep = 0 < begun.network.bytes * len(states) <= MAX_KEPT
    if keep:
        write_weights(kept, states)
    found = conclude(begun, entries, recipe_of(begun))
    proof = Proof(
        **{name: getattr(begun, name) for name in Begun.__struct_fields__},
        finished=_now(),
        test=Test(images.digest, len(images)),
        looks=_looks(sealed.looks(store, images.digest), made, begun.begun),
        environments=environments,
        runs=entries,
        weights=kept.name if keep else None,
        summary=found.summary,
        verdict=found.verdict,
        budget=found.budget,
        digest="",
    )
    write(out, sealed_up(proof))


def _entry(run: Run, state: State, images: data.Dataset, environment: int) -> Entry:
    """Return what a proof keeps of a run: what its final weights are worth on the test images, and its curve."""
    about = run.about
    assert about.question is not None
    entry = Entry(
        seed=run.seed,
        key=about.key,
        status=cast(Ended, about.status),
        created=datetime.fromisoformat(about.created),
        environment=environment,
        initial=about.question.network.initial,
        weights=None,
        accuracy=None,
        loss=None,
        wrong=None,
        opened=None,
        curve=records.convert(records.plain(run.curve), Curve, f"the curve of run {run.id}", RunError),
    )
    if not state:
        return entry
    if run.recipe.protocol == "sealed":
        opening = sealed.opened_once(run, images)
        wrong, loss, opened = opening.wrong or [], opening.loss, datetime.fromisoformat(opening.time)
    else:
        logits = run.logits(images.images)
        wrong, loss, opened = sealed.wrong(logits, images.labels), evaluate(logits, images.labels).loss, None
        by_engine = round(run.final["test"].accuracy * len(images))
        if abs(len(images) - len(wrong) - by_engine) > SAME_IMAGES:
            raise RunError(
                f"run {run.id}: its engine counted {by_engine} test images right, PyTorch on the same weights "
                f"{len(images) - len(wrong)}: the engine is at fault, and no proof may rest on it"
            )
    accuracy = accuracy_of(wrong, len(images))
    return msgspec.structs.replace(
        entry, weights=identity.weights(state), accuracy=accuracy, loss=loss, wrong=wrong, opened=opened
    )


def _looks(found: Sequence[ledger.Look], made: Sequence[Run], begun: datetime) -> Looks:
    """Return how often these runs looked at the test images, and others before the rule and the first of them."""
    own = {run.about.key for run in made}
    first = max(begun.isoformat(timespec="seconds"), min(run.about.created for run in made))
    before = [look for look in found if look.key not in own and look.time <= first]
    known = [look for look in before if look.what != "unreadable"]
    return Looks(
        own=sum(look.key in own for look in found),
        before=len(before),
        runs=len({look.key for look in known}),
        recipes=len({look.recipe for look in known}),
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
