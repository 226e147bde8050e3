"""run(jobs) -> Runs: many runs on all cores, each found before it is made, none lost when something breaks."""

import functools
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lenette import models, runs
from lenette.errors import DiskFull, RunError
from lenette.jobs import Identified, identify, prepare, with_seed
from lenette.many import workers
from lenette.many.costs import Costs, timed
from lenette.many.workers import Job
from lenette.progress import Progress
from lenette.recipes import Recipe
from lenette.records import Count, Record, Seconds
from lenette.runs import Run

ENDED = ("done", "cut", "diverged")


class Running(Record, frozen=True):
    """A run under way: its name, and the last that it told, if anything yet."""

    name: str
    progress: Progress | None = None


class State(Record, frozen=True):
    """How far the work is: runs `done` of `total`, of which `found` were in the store; `failed` ones; the seconds so
    far and those left (None: not known yet); what is `running`; and `note`, something to say, or ""."""

    done: Count
    total: Count
    found: Count
    failed: Count
    seconds: Seconds
    seconds_left: Seconds | None
    running: list[Running]
    note: str


Tell = Callable[[State], None]


def run(
    jobs: Iterable[tuple[Recipe, int]],
    *,
    folder: str | Path | None = None,
    engine: str = "auto",
    device: str = "auto",
    threads: int = 1,
    processes: int | None = None,
    store: str | Path = runs.DEFAULT_STORE,
    progress: Tell | None = None,
) -> list[Run]:
    """Train every (recipe, seed) and return the Runs in that order; a run that diverged is one of them.

    What the store holds is found, what was cut off goes on, and a job that occurs twice is trained once. A process that
    is killed is replaced, and its run goes on from its last checkpoint. The source of a network of one's own is read
    once, at the start: an edit while the work goes on changes nothing. A run's key is decided where it is trained.

    Args:
        folder, engine, device, store: as in `train`.
        threads: CPU threads of each process. On few cores, many processes of one thread beat one of many.
        processes: how many at once; without it, as many as the cores can feed. 1 trains in this process.
        progress: is given the State whenever something happened.

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
    return [_found(Path(store), board.keys[question]) for question in work.questions]


@dataclass(frozen=True)
class Estimate:
    """How long `run` would take: seconds on the clock, for `num_todo` of `num_jobs` runs, and what that rests on."""

    num_jobs: int
    num_todo: int
    seconds: float
    basis: str


def estimate(
    jobs: Iterable[tuple[Recipe, int]],
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
    costs.learn_from_store(Path(store), work.how)
    basis = "like runs in the store"
    load = workers.loading_once()
    with workers.threads_restored():
        for question, job in work.todo.items():
            if not costs.knows(job.recipe):
                found = identify(job.recipe, job.seed, folder, engine, device, threads, load, job.source)
                costs.learn(question, job.recipe, timed(prepare(found)))
                basis = "a few steps of each new recipe, timed now"
    seconds = [costs.of_run(job.recipe) for job in work.todo.values()]
    whole = max(sum(seconds) / processes, max(seconds, default=0.0))
    return Estimate(len(work.questions), len(work.todo), whole, basis)


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
    """The jobs by their questions' digests: all of them in order; those to train, each once; the keys of those found in
    the store; and by what engine, device and threads they are run."""

    questions: list[str]
    todo: dict[str, Job]
    keys: dict[str, str]
    how: tuple[str, str, int]


def _identify(jobs: Iterable[tuple[Recipe, int]], how: dict[str, Any]) -> Work:
    load = workers.loading_once()
    read = functools.cache(models.source)
    work = Work([], {}, {}, ("", "", 0))
    first: dict[Recipe, Identified] = {}
    for recipe, seed in jobs:
        source = read(recipe.model) if ":" in recipe.model else None
        if recipe not in first:
            asked = (how["folder"], how["engine"], how["device"], how["threads"])
            first[recipe] = identify(recipe, seed, *asked, load, source)
        identified = with_seed(first[recipe], seed)
        choice = identified.choice
        work.how = (choice.name, choice.device, choice.threads)
        question = identified.question.digest
        work.questions.append(question)
        found = runs.with_key(how["store"], identified.key)
        if found is not None and found.about.status in ENDED:
            work.keys[question] = identified.key
        else:
            work.todo[question] = Job(recipe, seed, source)
    return work


class Board:
    """What is known of the work under way; it tells it to the progress function."""

    def __init__(self, work: Work, processes: int, progress: Tell) -> None:
        self.todo, self.processes, self.progress = work.todo, processes, progress
        self.total = len(set(work.questions))
        self.found = self.done = self.total - len(work.todo)
        self.names = names(work.todo)
        self.keys = work.keys
        self.running: dict[str, Progress | None] = {}
        self.failures: dict[str, str] = {}
        self.costs = Costs()
        self.start = time.monotonic()

    def hear(self, question: str, what: str, more: Any) -> None:
        """Take in a message about a job; see `workers.Hear`."""
        note = ""
        if what == "begun":
            self.running[question] = None
        elif what == "progress":
            self.running[question] = more
            if more.finished:
                seconds = more.train_seconds + more.evaluate_seconds
                self.costs.learn(question, self.todo[question].recipe, seconds / more.epoch)
        elif what == "note":
            note = f"{self.names[question]}: {more}"
        else:
            del self.running[question]
        if what == "ended":
            self.keys[question] = more
            self.done += 1
        if what == "failed":
            self.failures[question] = more
            note = f"{self.names[question]}: {more.splitlines()[-1]}"
        if what == "killed":
            note = f"{self.names[question]}: {more}; it goes on from its last checkpoint"
        self.tell(note)

    def tell(self, note: str = "") -> None:
        """Give the progress function the state of things."""
        self.progress(
            State(
                done=self.done,
                total=self.total,
                found=self.found,
                failed=len(self.failures),
                seconds=time.monotonic() - self.start,
                seconds_left=self._seconds_left(),
                running=[Running(self.names[question], last) for question, last in self.running.items()],
                note=note,
            )
        )

    def _seconds_left(self) -> float | None:
        left = []
        for question, job in self.todo.items():
            if question in self.keys or question in self.failures:
                continue
            if not self.costs.has_any():
                return None
            last = self.running.get(question)
            share = 1 - last.step / last.num_steps if last else 1.0
            left.append(self.costs.of_run(job.recipe) * share)
        return max(sum(left) / self.processes, max(left, default=0.0))


def names(jobs: dict[str, Job]) -> dict[str, str]:
    """Return a name for each job that tells it from the others: its recipe, the fields that vary, its seed."""
    values = {key: job.recipe.values("what", "training", "augmentation") for key, job in jobs.items()}
    fields = dict.fromkeys(name for one in values.values() for name in one)
    vary = [name for name in fields if len({one.get(name) for one in values.values()}) > 1]
    return {
        key: " ".join(
            [
                job.recipe.name or job.recipe.model,
                *(f"{name}={shown(values[key][name])}" for name in vary if name in values[key]),
                f"seed {job.seed}",
            ]
        )
        for key, job in jobs.items()
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
