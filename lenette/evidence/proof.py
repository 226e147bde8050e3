"""prove(recipe) -> proof: many fresh seeds under a rule that is written down before the first of them is trained.

A proof is a dict, kept as one JSON file; `schema.SCHEMA` says what is in it. While it is being made the file holds the
header alone, so that a proof that was cut off goes on under the rule that it began with.
"""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lenette import data, files, many, recipes, runs, training
from lenette.errors import RunError
from lenette.evidence import sealed, weights
from lenette.evidence.certificate import with_preset
from lenette.evidence.rule import FIRST_SEED, SAME_IMAGES, accuracy_of, conclude, make_rule
from lenette.evidence.schema import KIND, VERSION, Proof, digest, read, recipe_of
from lenette.metrics import evaluate
from lenette.models import num_bytes, source_digest
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
    progress: many.Progress | None = None,
) -> Proof:
    """Train a recipe on fresh seeds and say whether their mean test accuracy reaches `accuracy`; return the proof.

    The rule is `stats.verdict`'s (a one-sided Student-t bound of the mean at 95 %; see there what it assumes), with one
    addition: a run that diverges refutes. It is written to `out` before the first run. A sealed recipe is trained on
    all training images for the same epochs, and its test set opened once the last run has ended. A proof that was cut
    off goes on, and ends as if it had not been; one that is done is found.

    Args:
        accuracy: a fraction; without it the preset's or the recipe's claim. 0: no claim, the accuracy is only measured.
        preset: a key of `certificate.PRESETS`: a budget, and an accuracy.
        out: the JSON file (else `default_path`). Where all weights together take at most 1 MB they lie beside it.
        folder, engine, device, threads, processes, store, progress: as in `many.run`.

    Raises:
        LenetteError: the recipe, data, network or budget won't do, or `out` holds another proof.
        KeyboardInterrupt: on Ctrl-C; the same call goes on.
    """
    recipe = recipes.load(recipe) if isinstance(recipe, str) else recipe
    if preset is not None:
        recipe, accuracy_of_preset = with_preset(recipe, preset)
        accuracy = accuracy_of_preset if accuracy is None else accuracy
    if recipe.protocol == "sealed":
        recipe = recipe.but(fold=-1)
    rule = make_rule(recipe, recipe.claim_test_accuracy if accuracy is None else accuracy, seeds, first_seed)
    ready = training.prepare(recipe, rule["seeds"][0], folder, engine, device, threads)
    out = default_path(recipe, preset) if out is None else Path(out)
    Path(store).mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(Path(store) / f".{out.stem}.lock", timeout=0):
            proof = _begin(out, header(recipe, rule, ready))
            if proof["status"] == "begun":
                jobs = [(recipe, seed) for seed in rule["seeds"]]
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
                _finish(out, proof, made, data.load(recipe.dataset, "test", folder))
            return read(out)
    except Timeout:
        raise RunError(f"the proof {out} is being made by another process") from None


def default_path(recipe: Recipe, preset: str | None = None) -> Path:
    """Return where a proof is written if nobody says where."""
    return DEFAULT_FOLDER / f"{'-'.join(filter(None, (recipe.name or 'recipe', preset)))}.json"


def header(recipe: Recipe, rule: dict[str, Any], ready: training.Prepared) -> Proof:
    """Return all that is known of a proof before its first run."""
    about = ready.about
    network = ready.trainer.weights()
    return {
        "kind": KIND,
        "version": VERSION,
        "name": recipe.name,
        "status": "begun",
        "begun": _now(),
        "rule": rule,
        "recipe": {
            "toml": recipe.to_toml(),
            "digest": recipe.digest,
            "source_digest": source_digest(recipe.model),
        },
        "data": {
            **{name: about["data"][name] for name in ("name", "num_images", "classes", "shape", "mean", "std")},
            "digest": about["data"]["digest"][0],
        },
        "engine": {
            "name": about["engine"],
            **{name: about[name] for name in ("device", "threads")},
            "build": ready.trainer.build,
        },
        "parameters": about["parameters"],
        "bytes": num_bytes(network),
    }


def _begin(out: Path, new: Proof) -> Proof:
    """Write the header, or return what the file holds: the same proof, begun or done."""
    if not out.exists():
        files.write_json(out, new)
        return read(out)
    old = read(out)
    new = json.loads(json.dumps(new))
    changed = [name for name in new if name not in ("begun", "status") and old.get(name) != new[name]]
    if changed:
        raise RunError(
            f"{out} holds another proof: its {', '.join(changed)} differ, and a rule stands once it is written; "
            "name another file with --out"
        )
    return old


def _finish(out: Path, begun: Proof, made: list[Run], images: data.Dataset) -> None:
    """Evaluate the runs on the test images, draw the conclusions and write them, the weights first."""
    environments: list[dict[str, Any]] = []
    entries = []
    states = {}
    for run in made:
        if run.environment not in environments:
            environments.append(run.environment)
        entries.append({**_entry(run, images), "environment": environments.index(run.environment)})
        if run.status != "diverged":
            states[run.seed] = weights.read(run.folder / "model.safetensors")
    kept = out.with_suffix(".safetensors")
    all_bytes = sum(map(num_bytes, states.values()))
    keep = weights.is_kept(all_bytes)
    if keep:
        weights.write_all(kept, states)
    opened = [opening for run in made for opening in sealed.openings(run) if opening.get("digest") == images.digest]
    proof = {
        **begun,
        "status": "done",
        "finished": _now(),
        "test": {"digest": images.digest, "num_images": len(images), "openings": len(opened)},
        "environments": environments,
        "runs": entries,
        "weights": {
            "file": kept.name if keep else None,
            "digest": hashlib.sha256(kept.read_bytes()).hexdigest() if keep else None,
            "bytes": all_bytes,
        },
    }
    proof = files.finite({**proof, **conclude(proof, recipe_of(begun))})
    files.write_json(out, {**proof, "digest": digest(proof)})


def _entry(run: Run, images: data.Dataset) -> Proof:
    """Return what a proof keeps of a run: what its final weights are worth on the test images, and its curve."""
    about = run.about
    entry = {
        "seed": run.seed,
        "key": about["key"],
        "status": about["status"],
        "created": about["created"],
        "curve": files.finite(run.curve),
        **dict.fromkeys(("accuracy", "loss", "wrong", "weights", "opened")),
    }
    if about["status"] == "diverged":
        return entry
    if run.recipe.protocol == "sealed":
        opening = sealed.opened_once(run, images)
        wrong, loss, opened = opening["wrong"], opening["loss"], opening["time"]
    else:
        logits = run.logits(images.images)
        wrong, loss, opened = sealed.wrong(logits, images.labels), evaluate(logits, images.labels)["loss"], None
        by_engine = round(run.final["test"]["accuracy"] * len(images))
        if abs(len(images) - len(wrong) - by_engine) > SAME_IMAGES:
            raise RunError(
                f"run {run.id}: its engine counted {by_engine} test images right, PyTorch on the same weights "
                f"{len(images) - len(wrong)}: the engine is at fault, and no proof may rest on it"
            )
    return {
        **entry,
        "accuracy": accuracy_of(wrong, len(images)),
        "loss": files.finite(loss),
        "wrong": wrong,
        "weights": weights.digest(weights.read(run.folder / "model.safetensors")),
        "opened": opened,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
