"""train(recipe, seed) -> Run: the plan, the engine and the record, brought together."""

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import Timeout
from torch import nn

from lenette import data, engines, files, models, recipes, runs
from lenette.data import Dataset, splits
from lenette.environment import environment
from lenette.errors import BudgetError, DataError, Diverged, ModelError, RunError
from lenette.interrupts import interruptible
from lenette.metrics import evaluate
from lenette.plan import Plan
from lenette.recipes import Recipe
from lenette.runs import Run

Progress = Callable[[dict[str, Any]], None]
Load = Callable[[Recipe, str | Path | None], tuple[Dataset, Dataset | None]]

CHUNKS_PER_EPOCH = 20
CHECKPOINT_SECONDS = 30.0
LOCK_SECONDS = 2.0


def train(
    recipe: Recipe | str,
    seed: int = 0,
    *,
    folder: str | Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    store: str | Path = runs.DEFAULT_STORE,
    again: bool = False,
    progress: Progress | None = None,
    load: Load | None = None,
    **changes: Any,
) -> Run:
    """Train a network and return the record; a run that exists already is found, one that was cut off goes on.

    Args:
        recipe: a Recipe, or what `recipes.load` takes: a shipped name, a TOML file, a run's folder, file.py:function.
        seed: decides all that is random.
        folder: where the data set lies; without it, where `data.load` looks.
        engine: "auto" or the name of one.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads; without it, as many as torch would take.
        store: the folder of all runs.
        again: train even if the run exists; the old one is kept beside it.
        progress: is called with a dict several times an epoch, and once at its end (then `finished` is true).
        load: stands in for `datasets`, for who trains many times on the same images.
        changes: fields of the recipe to change.

    Raises:
        LenetteError: the recipe, data, network or budget won't do, or the loss is no longer finite (Diverged).
        KeyboardInterrupt: on Ctrl-C or SIGTERM, once the run is saved so that it can be resumed.
    """
    recipe = (recipes.load(recipe) if isinstance(recipe, str) else recipe).but(**changes)
    ready = prepare(recipe, seed, folder, engine, device, threads, load)
    with runs.store_lock(Path(store)):
        run = None if again else runs.with_key(Path(store), ready.about["key"])
        if run is None:
            run = runs.create(Path(store), recipe, ready.about, {**environment(), "build": ready.trainer.build})
            if (source := models.source_file(recipe.model)) is not None:
                files.write_text(run.folder / runs.SOURCE, source.read_text(encoding="utf-8"))
    return _go_on(run, ready, progress or (lambda record: None))


def resume(run: Run, progress: Progress | None = None) -> Run:
    """Go on with a run that was cut off, from its last checkpoint; the end is the same, bit for bit.

    Raises:
        RunError: the engine, the data or the network's source are no longer the same, so that it would be another run.
    """
    about, recipe = run.about, run.recipe
    if run.source is not None:
        recipe = recipe.but(model=run.source)
    ready = prepare(recipe, run.seed, about["data"]["folder"], about["engine"], about["device"], about["threads"])
    if ready.about["key"] != about["key"]:
        changed = [name for name in ("data", "parameters") if ready.about[name] != about[name]]
        changed += ["engine's build"] * (ready.trainer.build != run.environment["build"])
        what = " and ".join(changed) or "source of the network"
        raise RunError(
            f"run {run.id} can't be resumed: its {what} changed since it began, so that the end would be another; "
            f"begin anew with: lenette train {run.folder}"
        )
    return _go_on(run, ready, progress or (lambda record: None))


@dataclass
class Prepared:
    """What a run needs: the engine, ready for step 0, its plan, the data, and what is known beforehand."""

    trainer: Any
    plan: Plan
    images: Dataset
    evaluated: Dataset | None
    about: dict[str, Any]


def prepare(
    recipe: Recipe,
    seed: int = 0,
    folder: str | Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    load: Load | None = None,
) -> Prepared:
    """Return all that a run needs, before its first step; the arguments are those of `train`.

    Raises:
        LenetteError: the recipe, data, network or budget won't do.
    """
    images, evaluated = (load or datasets)(recipe, folder)
    shape = list(images.images.shape[1:])
    model = functools.partial(models.build, recipe.model, len(images.classes), shape[0], shape[1])
    plan = Plan(recipe, seed, len(images), (shape[1], shape[2]))
    network = plan.initial(model)
    models.require_fit(network, shape, len(images.classes))
    parameters = check_budget(recipe, network)
    device = engines.choose_device(device, engine)
    threads = engines.DEFAULT_THREADS if threads is None else threads
    trainer, reason = engines.make(engine, network, plan, images, device, threads)
    digests = [images.digest, evaluated.digest if evaluated else ""]
    about = {
        "key": runs.key_of(recipe, seed, digests, trainer.build),
        "seed": seed,
        "engine": trainer.build["engine"],
        "engine_reason": reason,
        "device": device,
        "threads": threads,
        "parameters": parameters,
        "num_steps": plan.num_steps,
        "data": {
            "name": images.name,
            "folder": None if folder is None else str(Path(folder).absolute()),
            "digest": digests,
            "num_images": len(images),
            "classes": list(images.classes),
            "shape": shape,
            "mean": list(images.mean),
            "std": list(images.std),
        },
    }
    return Prepared(trainer, plan, images, evaluated, about)


def datasets(recipe: Recipe, folder: str | Path | None = None) -> tuple[Dataset, Dataset | None]:
    """Return the images to train on, and those that are evaluated every epoch, if any.

    Under the sealed protocol the test images are not even read. The validation part is then the data set's own, the
    val/ of an image folder, where it has one, whichever `fold` is asked for; else that sixth of the training images.

    Raises:
        DataError: the data set is missing or damaged, or its images are not square.
    """
    images = data.load(recipe.dataset, "train", folder)
    if images.images.shape[2] != images.images.shape[3]:
        raise DataError(f"data set '{images.name}': its images are {list(images.images.shape[2:])}, not square")
    part = runs.evaluated_part(recipe)
    if part == "test":
        return images, data.load(recipe.dataset, "test", folder)
    if part == "validation" and part in data.parts(recipe.dataset):
        return images, data.load(recipe.dataset, part, folder)
    if part == "validation":
        kept, held_out = splits.validation(images.labels, recipe.fold)
        return images.subset(kept, "train"), images.subset(held_out, "validation")
    return images, None


def check_budget(recipe: Recipe, model: nn.Module) -> int:
    """Return the network's number of trainable parameters.

    Raises:
        ModelError: it has none.
        BudgetError: it exceeds max_parameters or max_bytes.
    """
    parameters = models.count_parameters(model)
    if not parameters:
        raise ModelError(f"model '{recipe.model}' has no trainable parameters")
    for name, value in (("max_parameters", parameters), ("max_bytes", models.num_bytes(model.state_dict()))):
        if 0 < getattr(recipe, name) < value:
            raise BudgetError(
                f"model '{recipe.model}' exceeds the budget: {value:,} against {name} = {getattr(recipe, name):,}"
            )
    return parameters


def _go_on(run: Run, ready: Prepared, progress: Progress) -> Run:
    """Train the steps that are left; write an epoch's line and a checkpoint after each epoch."""
    lock = run.lock()
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout:
        raise RunError(f"run {run.id} is being trained by another process") from None
    try:
        status = run.about["status"]
        if status == "diverged":
            raise _diverged(run)
        if status not in ("done", "cut"):
            _train_steps(run, ready, progress)
    finally:
        lock.release()
    return run


def _train_steps(run: Run, ready: Prepared, progress: Progress) -> None:
    trainer, plan, recipe = ready.trainer, ready.plan, ready.plan.recipe
    rates = plan.rates()
    lines, tally = _restore(run, trainer)
    chunk = max(1, plan.steps_per_epoch // CHUNKS_PER_EPOCH)
    saved_at = time.monotonic()
    with interruptible() as interrupted:
        while trainer.step < plan.num_steps:
            first = trainer.step
            epoch = first // plan.steps_per_epoch
            start = time.perf_counter()
            losses, num_right = trainer.advance(min(first + chunk, (epoch + 1) * plan.steps_per_epoch))
            tally["train_seconds"] += time.perf_counter() - start
            _add(tally, plan, first, losses.tolist(), num_right.tolist())
            if not math.isfinite(tally["loss"]):
                raise _diverge(run, plan, first + losses.isfinite().tolist().index(False))
            end = trainer.step == plan.num_steps or 0 < recipe.max_seconds <= tally["train_seconds"]
            finished = end or trainer.step % plan.steps_per_epoch == 0
            record = {
                "epoch": epoch + 1,
                "step": trainer.step,
                "lr": rates[trainer.step - 1].item(),
                "train_loss_running": tally["loss"] / tally["num_seen"],
                "train_accuracy_running": tally["num_right"] / tally["num_seen"],
            }
            if finished:
                start = time.perf_counter()
                result = _evaluate(ready, with_train=end or recipe.evaluate_train == "every")
                if not all(math.isfinite(part["loss"]) for part in result.values()):
                    raise _diverge(run, plan, trainer.step - 1)
                tally |= {"loss": 0.0, "num_right": 0, "num_seen": 0}
                tally["evaluate_seconds"] += time.perf_counter() - start
                record |= {f"{part}_{name}": result[part][name] for part in result for name in ("loss", "accuracy")}
            record |= {name: tally[name] for name in ("train_seconds", "evaluate_seconds")}
            if finished:
                lines.append(record)
                run.write_metrics(lines)
            progress({**record, "epochs": recipe.epochs, "num_steps": plan.num_steps, "finished": finished})
            if end:
                run.finish(trainer.weights(), result, "done" if trainer.step == plan.num_steps else "cut")
                return
            if finished or interrupted() or time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                run.write_checkpoint(trainer.state(), {"step": trainer.step, "tally": tally, "num_lines": len(lines)})
                saved_at = time.monotonic()
            if interrupted():
                run.set_status("interrupted")
                raise KeyboardInterrupt(run.argument)


def _restore(run: Run, trainer: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Bring the engine to the run's last checkpoint; return the epochs' lines up to there, and the epoch's sums."""
    lines: list[dict[str, Any]] = []
    tally = {"loss": 0.0, "num_right": 0, "num_seen": 0, "train_seconds": 0.0, "evaluate_seconds": 0.0}
    checkpoint = run.read_checkpoint()
    if checkpoint is not None:
        state, saved = checkpoint
        trainer.load_state(state, saved["step"])
        tally, lines = saved["tally"], run.metrics[: saved["num_lines"]]
    run.set_status("running")
    run.write_metrics(lines)
    return lines, tally


def _add(tally: dict[str, Any], plan: Plan, first: int, losses: list[float], num_right: list[int]) -> None:
    """Add the steps to the epoch's sums one by one, so that the sums don't hang on where a run was cut."""
    for step, (loss, right) in enumerate(zip(losses, num_right, strict=True), start=first):
        before = step % plan.steps_per_epoch * plan.recipe.batch_size
        num_images = min(plan.recipe.batch_size, plan.num_images - before)
        tally["loss"] += loss * num_images
        tally["num_right"] += right
        tally["num_seen"] += num_images


def _evaluate(ready: Prepared, with_train: bool) -> dict[str, Any]:
    """Return what the weights are worth on each part, in evaluation mode and without augmentation."""
    parts = ([ready.evaluated] if ready.evaluated else []) + ([ready.images] if with_train else [])
    return {part.part: evaluate(ready.trainer.logits(part.images), part.labels) for part in parts}


def _diverge(run: Run, plan: Plan, step: int) -> Diverged:
    """Write down where the run diverged; return the error that says so."""
    epoch = step // plan.steps_per_epoch + 1
    run.set_status("diverged", diverged_at={"step": step, "lr": plan.rates()[step].item(), "epoch": epoch})
    return _diverged(run)


def _diverged(run: Run) -> Diverged:
    at = run.about["diverged_at"]
    return Diverged(
        f"the loss of run {run.id} is no longer a finite number at step {at['step']:,} (epoch {at['epoch']}), "
        f"where the learning rate is {at['lr']:g}: try a smaller lr (say "
        f"{min(at['lr'], run.recipe.lr) / 4:g}), a schedule that warms up (onecycle), or batch-norm in the network"
    )
