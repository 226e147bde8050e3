"""run(jobs) -> Runs: many runs on all cores, each found before it is made, none lost when something breaks."""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lenette import runs, training
from lenette.errors import DiskFull, RunError
from lenette.many import workers
from lenette.many.costs import Costs, timed
from lenette.many.workers import Job
from lenette.runs import Run

Progress = Callable[[dict[str, Any]], None]

ENDED = ("done", "cut", "diverged")


def run(
    jobs: Iterable[Job],
    *,
    folder: str | Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int = 1,
    processes: int | None = None,
    store: str | Path = runs.DEFAULT_STORE,
    progress: Progress | None = None,
) -> list[Run]:
    """Train every (recipe, seed) and return the Runs in that order; a run that diverged is one of them.

    What the store holds is found, what was cut off goes on, and a job that occurs twice is trained once. A process that
    is killed is replaced, and its run goes on from its last checkpoint.

    Args:
        folder, engine, device, store: as in `train`.
        threads: CPU threads of each process. On few cores, many processes of one thread beat one of many.
        processes: how many at once; without it, as many as the cores can feed. 1 trains in this process.
        progress: is called with dicts: `done`, `total`, `found` (in the store), `failed`, `seconds`, `seconds_left`
            (None: not known yet), `running` (the last record of each run under way, with its `name`), and `note`.

    Raises:
        LenetteError: a recipe, the data or a network won't do; nothing has been trained then.
        RunError: some runs could not be finished (all others are).
        DiskFull: the disk is full; all work is stopped.
        KeyboardInterrupt: on Ctrl-C or SIGTERM, once every run under way is saved so that it can be resumed.
    """
    how = {"folder": folder, "engine": engine, "device": device, "threads": threads, "store": Path(store)}
    work = _identify(jobs, how)
    processes = number_of_processes(processes, threads, len(work.todo))
    board = Board(work, processes, progress or (lambda state: None))
    board.tell()
    try:
        if processes == 1:
            workers.run_here(work.todo, how, board.hear)
        else:
            workers.run_in_processes(work.todo, how, processes, board.hear)
    except DiskFull as full:
        raise DiskFull(
            f"{full}. {board.done} of {board.total} runs are done and kept in {store}; the others stopped at their "
            "last checkpoint, from which the same command goes on"
        ) from None
    if board.failures:
        raise RunError(_failed(board, Path(store)))
    return [_found(Path(store), key) for key in work.keys]


@dataclass(frozen=True)
class Estimate:
    """How long `run` would take: seconds on the clock, for `num_todo` of `num_jobs` runs, and what that rests on."""

    num_jobs: int
    num_todo: int
    seconds: float
    basis: str


def estimate(
    jobs: Iterable[Job],
    *,
    folder: str | Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int = 1,
    processes: int | None = None,
    store: str | Path = runs.DEFAULT_STORE,
) -> Estimate:
    """Say how long `run` would take for these jobs: from like runs in the store, else from a few steps, timed now.

    Raises:
        LenetteError: a recipe, the data or a network won't do.
    """
    how = {"folder": folder, "engine": engine, "device": device, "threads": threads, "store": Path(store)}
    work = _identify(jobs, how)
    processes = number_of_processes(processes, threads, len(work.todo))
    costs = Costs()
    costs.learn_from_store(Path(store), work.about)
    basis = "like runs in the store"
    load = workers.loading_once()
    with workers.threads_restored():
        for key, (recipe, seed) in work.todo.items():
            if not costs.knows(recipe):
                ready = training.prepare(recipe, seed, folder, engine, device, threads, load)
                costs.learn(key, recipe, timed(ready))
                basis = "a few steps of each new recipe, timed now"
    seconds = [costs.of_run(recipe) for recipe, _ in work.todo.values()]
    whole = max(sum(seconds) / processes, max(seconds, default=0.0))
    return Estimate(len(work.keys), len(work.todo), whole, basis)


def number_of_processes(processes: int | None, threads: int, num_jobs: int) -> int:
    """Return how many processes to start: as many as asked for, or as the cores can feed, and no more than jobs.

    Raises:
        RunError: less than one was asked for.
    """
    for name, value in (("processes", processes), ("threads", threads)):
        if value is not None and value < 1:
            raise RunError(f"{name} = {value}: at least 1")
    return max(1, min(processes or cores() // threads, num_jobs))


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class Work:
    """The jobs, as the keys of their runs; those that the store doesn't hold, each once; and by what they are run."""

    keys: list[str]
    todo: dict[str, Job]
    about: dict[str, Any]


def _identify(jobs: Iterable[Job], how: dict[str, Any]) -> Work:
    load = workers.loading_once()
    work = Work([], {}, {})
    with workers.threads_restored():
        for recipe, seed in jobs:
            ready = training.prepare(recipe, seed, how["folder"], how["engine"], how["device"], how["threads"], load)
            key = ready.about["key"]
            work.about = {name: ready.about[name] for name in ("engine", "device", "threads")}
            work.keys.append(key)
            found = runs.with_key(how["store"], key)
            if found is None or found.about["status"] not in ENDED:
                work.todo[key] = (recipe, seed)
    return work


class Board:
    """What is known of the work under way; it tells it to the progress function."""

    def __init__(self, work: Work, processes: int, progress: Progress) -> None:
        self.todo, self.processes, self.progress = work.todo, processes, progress
        self.total = len(set(work.keys))
        self.found = self.done = self.total - len(work.todo)
        self.names = names(work.todo)
        self.running: dict[str, dict[str, Any]] = {}
        self.ended: set[str] = set()
        self.failures: dict[str, str] = {}
        self.costs = Costs()
        self.start = time.monotonic()

    def hear(self, key: str, what: str, more: Any) -> None:
        """Take in a message about a job; see `workers.Hear`."""
        note = ""
        if what in ("begun", "record"):
            self.running[key] = {"name": self.names[key], **(more or {})}
            if more and more["finished"]:
                seconds = more["train_seconds"] + more["evaluate_seconds"]
                self.costs.learn(key, self.todo[key][0], seconds / more["epoch"])
        else:
            del self.running[key]
        if what == "ended":
            self.ended.add(key)
            self.done += 1
        if what == "failed":
            self.failures[key] = more
            note = f"{self.names[key]}: {more.splitlines()[-1]}"
        if what == "killed":
            note = f"{self.names[key]}: {more}; it goes on from its last checkpoint"
        self.tell(note)

    def tell(self, note: str = "") -> None:
        """Give the progress function the state of things."""
        self.progress(
            {
                "done": self.done,
                "total": self.total,
                "found": self.found,
                "failed": len(self.failures),
                "seconds": time.monotonic() - self.start,
                "seconds_left": self._seconds_left(),
                "running": list(self.running.values()),
                "note": note,
            }
        )

    def _seconds_left(self) -> float | None:
        left = []
        for key, (recipe, _) in self.todo.items():
            if key in self.ended or key in self.failures:
                continue
            if not self.costs.has_any():
                return None
            record = self.running.get(key, {})
            share = 1 - record["step"] / record["num_steps"] if "step" in record else 1.0
            left.append(self.costs.of_run(recipe) * share)
        return max(sum(left) / self.processes, max(left, default=0.0))


def names(jobs: dict[str, Job]) -> dict[str, str]:
    """Return a name for each job that tells it from the others: its recipe, the fields that vary, its seed."""
    values = {key: recipe.values("what", "training", "augmentation") for key, (recipe, _) in jobs.items()}
    fields = dict.fromkeys(name for one in values.values() for name in one)
    vary = [name for name in fields if len({one.get(name) for one in values.values()}) > 1]
    return {
        key: " ".join(
            [
                recipe.name or recipe.model,
                *(f"{name}={shown(values[key][name])}" for name in vary if name in values[key]),
                f"seed {seed}",
            ]
        )
        for key, (recipe, seed) in jobs.items()
    }


def shown(value: Any) -> str:
    """Return a field's value as people write it."""
    if isinstance(value, tuple | list):
        return "+".join(map(shown, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _failed(board: Board, store: Path) -> str:
    texts = "\n".join(f"  {board.names[key]}: {text}" for key, text in board.failures.items())
    return (
        f"{len(board.failures)} of {board.total} runs could not be finished; the other {board.done} are done and kept "
        f"in {store}. The same command tries again what is missing.\n{texts}"
    )


def _found(store: Path, key: str) -> Run:
    found = runs.with_key(store, key)
    if found is None:
        raise RunError(f"run {key[:8]} was trained and is no longer in the store {store}: somebody removed it")
    return found
