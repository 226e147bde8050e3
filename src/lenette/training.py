"""train(recipe, seed) -> Run: the plan, the engine and the record, brought together."""

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock, Timeout
from torch import nn

from lenette import data, identity, ledger, models, runs
from lenette.engines import Choice, Engine
from lenette.environment import environment
from lenette.errors import Diverged, RunError
from lenette.interrupts import interruptible
from lenette.jobs import Load, Prepared, datasets, identify, prepare
from lenette.metrics import Evaluation, evaluate
from lenette.models import trust
from lenette.plan import Plan
from lenette.progress import Epoch, Progress
from lenette.recipes import Recipe
from lenette.runs import Checkpoint, DivergedAt, Run, Tally

__all__ = ["datasets", "resume", "train"]

Tell = Callable[[Progress], None]
Say = Callable[[str], None]

CHUNKS_PER_EPOCH = 20
CHECKPOINT_SECONDS = 30.0
POLL_SECONDS = 0.2


def say_on_stderr(text: str) -> None:
    """Print a line for who waits."""
    print(text, file=sys.stderr, flush=True)


def train(
    recipe: Recipe | str | Callable[..., Any] | nn.Module,
    seed: int = 0,
    *,
    dataset: Any = None,
    folder: str | Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int | None = None,
    store: str | Path = runs.DEFAULT_STORE,
    again: bool = False,
    progress: Tell | None = None,
    say: Say = say_on_stderr,
    chosen: Callable[[Choice], None] | None = None,
    load: Load | None = None,
    source: str | None = None,
    **changes: Any,
) -> Run:
    """Train a network and return the record; a run that exists already is found, one that was cut off goes on.

    Where another process trains the same run, it is waited for.

    Args:
        recipe: a Recipe, or what `runs.load_recipe` takes: a shipped name, a TOML file, a run, file.py:function; or a
            network as it is: a class or a function that makes it, or a torch module, from the weights that it has.
        seed: decides all that is random.
        dataset: as the recipe's field; or images of one's own, in any of the forms that `data.loader` takes.
        folder: where the data set lies; without it, where `data.load` looks.
        engine: "auto" or the name of one.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads; without it, as many as torch would take.
        store: the folder of all runs.
        again: train even if the run exists; the old one is kept beside it.
        progress: is given a Progress several times an epoch, and once at its end (then `finished` is true).
        say: is given a line where there is something to know before the first step, or to wait for.
        chosen: is given the engine that was chosen, before the first step.
        load: stands in for `datasets`, for who trains many times on the same images.
        source: the text of the file that the recipe's model names, where it was read already.
        changes: fields of the recipe to change.

    Raises:
        LenetteError: the recipe, data, network or budget won't do, or the loss is no longer finite (Diverged).
        KeyboardInterrupt: on Ctrl-C or SIGTERM, once the run is saved so that it can be resumed.
    """
    told: list[str] = []
    if not isinstance(recipe, Recipe | str):
        title, name, source, told = models.give(recipe)
        recipe = Recipe(name=title, model=name)
    recipe = (runs.load_recipe(recipe, Path(store)) if isinstance(recipe, str) else recipe).but(**changes)
    if isinstance(dataset, str | Path):
        recipe = recipe.but(dataset=str(dataset))
    elif dataset is not None:
        load, recipe = data.loader(dataset), recipe.but(dataset="given")
    found = identify(recipe, seed, folder, engine, device, threads, load, source)
    for note in (*told, *found.notes):
        say(note)
    run = None if again else runs.with_key(Path(store), found.key)
    if run is not None and run.about.status in ("done", "cut"):
        return run
    if run is not None and run.about.status == "diverged":
        raise _diverged(run)
    ready = prepare(found)
    with runs.store_lock(Path(store)):
        run = None if again else runs.with_key(Path(store), ready.key)
        if run is None:
            run = _created(Path(store), ready)
    if chosen:
        chosen(ready.choice)
    return _go_on(run, ready, progress or (lambda record: None), say)


def _created(store: Path, ready: Prepared) -> Run:
    """Make the folder of a new run; a look at the test images is written down before the first one."""
    about = ready.about
    run = runs.create(store, ready.recipe, about, environment(), ready.source or None)
    if ready.source:
        trust.remember(ready.source)
    if ready.evaluated is not None and ready.evaluated.part == "test":
        seen = ready.evaluated
        look = ledger.Look(
            what="every epoch",
            time=about.created,
            dataset=seen.name,
            part=seen.part,
            run=run.id,
            key=about.key,
            recipe=ready.recipe.digest,
            protocol=ready.recipe.protocol,
            num_images=len(seen),
        )
        ledger.look(store, seen.digest, look)
    return run


def resume(run: Run, progress: Tell | None = None, say: Say = say_on_stderr) -> Run:
    """Go on with a run that was cut off, from its last checkpoint; the end is the same, bit for bit.

    Raises:
        RunError: the engine, the data or the network are no longer the same, so that it would be another run.
        ModelError: its network is somebody else's code, which this user has not agreed to run.
    """
    about = run.about
    if about.question is None:
        raise RunError(
            f"run {run.id} was begun by version 1 of lenette, and can't go on: "
            f"begin anew with: lenette train {run.folder}"
        )
    source = run.source
    if source is not None:
        trust.require(source, f"{runs.SOURCE} of run {run.id}", False)
    found = identify(run.recipe, run.seed, about.data.folder, about.engine, about.device, about.threads, source=source)
    if found.key != about.key:
        changed = identity.differences(about.question, found.question)
        changed += ["engine's build"] * (found.choice.build != run.build)
        raise RunError(
            f"run {run.id} can't be resumed: its {' and '.join(changed)} changed since it began, so that the end would "
            f"be another; begin anew with: lenette train {run.folder}"
        )
    return _go_on(run, prepare(found), progress or (lambda record: None), say)


def _go_on(run: Run, ready: Prepared, progress: Tell, say: Say) -> Run:
    """Train the steps that are left; write an epoch's line and a checkpoint after each epoch."""
    lock = _locked(run, say)
    try:
        status = run.about.status
        if status == "diverged":
            raise _diverged(run)
        if status not in ("done", "cut"):
            _train_steps(run, ready, progress)
    finally:
        lock.release()
    return run


def _locked(run: Run, say: Say) -> FileLock:
    """Return the run's lock, held; wait while another process trains the run."""
    lock = run.lock()
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"run {run.id} is being trained by another process: waiting for its end")
        lock.acquire(timeout=-1, poll_interval=POLL_SECONDS)
    return lock


def _train_steps(run: Run, ready: Prepared, progress: Tell) -> None:
    engine, plan, recipe = ready.engine, ready.plan, ready.recipe
    rates = plan.rates()
    lines, tally = _restore(run, engine)
    chunk = max(1, plan.steps_per_epoch // CHUNKS_PER_EPOCH)
    saved_at = time.monotonic()
    with interruptible() as interrupted:
        while engine.step < plan.num_steps:
            first = engine.step
            number = first // plan.steps_per_epoch
            start = time.perf_counter()
            losses, num_right = engine.advance(min(first + chunk, (number + 1) * plan.steps_per_epoch))
            seconds = time.perf_counter() - start
            tally = _add(tally, plan, first, losses.tolist(), num_right.tolist(), seconds)
            if not math.isfinite(tally.loss):
                raise _diverge(run, plan, first + losses.isfinite().tolist().index(False))
            end = engine.step == plan.num_steps or 0 < recipe.max_seconds <= tally.train_seconds
            finished = end or engine.step % plan.steps_per_epoch == 0
            result: dict[str, Evaluation] = {}
            running = (tally.loss / tally.num_seen, tally.num_right / tally.num_seen)
            if finished:
                start = time.perf_counter()
                result = _evaluate(ready, with_train=end or recipe.evaluate_train == "every")
                if any(part.loss is None for part in result.values()):
                    raise _diverge(run, plan, engine.step - 1)
                spent = tally.evaluate_seconds + time.perf_counter() - start
                tally = Tally(train_seconds=tally.train_seconds, evaluate_seconds=spent)
            epoch = Epoch(
                epoch=number + 1,
                step=engine.step,
                lr=rates[engine.step - 1].item(),
                train_loss_running=running[0],
                train_accuracy_running=running[1],
                train_seconds=tally.train_seconds,
                evaluate_seconds=tally.evaluate_seconds,
                **{f"{part}_{name}": getattr(result[part], name) for part in result for name in ("loss", "accuracy")},
            )
            if finished:
                lines.append(epoch)
                run.write_metrics(lines)
            told = msgspec.structs.asdict(epoch)
            progress(Progress(**told, epochs=recipe.epochs, num_steps=plan.num_steps, finished=finished))
            if end:
                run.finish(engine.weights(), result, "done" if engine.step == plan.num_steps else "cut")
                return
            if finished or interrupted() or time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                run.write_checkpoint(engine.state(), Checkpoint(step=engine.step, tally=tally, num_lines=len(lines)))
                saved_at = time.monotonic()
            if interrupted():
                run.set_status("interrupted")
                raise KeyboardInterrupt(run.argument)


def _restore(run: Run, engine: Engine) -> tuple[list[Epoch], Tally]:
    """Bring the engine to the run's last checkpoint; return the epochs' lines up to there, and the epoch's sums."""
    lines, tally = [], Tally()
    checkpoint = run.read_checkpoint()
    if checkpoint is not None:
        state, saved = checkpoint
        engine.load_state(state, saved.step)
        tally, lines = saved.tally, run.metrics[: saved.num_lines]
    run.set_status("running")
    run.write_metrics(lines)
    return lines, tally


def _add(tally: Tally, plan: Plan, first: int, losses: list[float], num_right: list[int], seconds: float) -> Tally:
    """Add the steps to the epoch's sums one by one, so that the sums don't hang on where a run was cut."""
    loss, seen, size = tally.loss, tally.num_seen, plan.recipe.batch_size
    for step, mean in enumerate(losses, start=first):
        num_images = min(size, plan.num_images - step % plan.steps_per_epoch * size)
        loss += mean * num_images
        seen += num_images
    return Tally(
        loss=loss,
        num_right=tally.num_right + sum(num_right),
        num_seen=seen,
        train_seconds=tally.train_seconds + seconds,
        evaluate_seconds=tally.evaluate_seconds,
    )


def _evaluate(ready: Prepared, with_train: bool) -> dict[str, Evaluation]:
    """Return what the weights are worth on each part, in evaluation mode and without augmentation."""
    parts = ([ready.evaluated] if ready.evaluated else []) + ([ready.images] if with_train else [])
    return {part.part: evaluate(ready.engine.logits(part.images), part.labels) for part in parts}


def _diverge(run: Run, plan: Plan, step: int) -> Diverged:
    """Write down where the run diverged; return the error that says so."""
    at = DivergedAt(step=step, lr=plan.rates()[step].item(), epoch=step // plan.steps_per_epoch + 1)
    run.set_status("diverged", diverged_at=at)
    return _diverged(run)


def _diverged(run: Run) -> Diverged:
    about = run.about
    at = about.diverged_at
    if at is None:
        return Diverged(f"run {run.id} diverged, and its record does not say where", about.key)
    usual = 0.4 if run.recipe.optimizer == "sgd" else 0.004
    return Diverged(
        f"the loss of run {run.id} is no longer a finite number at step {at.step:,} (epoch {at.epoch}), "
        f"where the learning rate is {at.lr:g}: try a smaller lr (say "
        f"{min(at.lr, run.recipe.lr, usual) / 4:g}), a schedule that warms up (onecycle), or batch-norm in the network",
        about.key,
    )
