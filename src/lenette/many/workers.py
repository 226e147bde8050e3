"""Processes that train: each gets one job after the other over a pipe; none is waited for once it is dead."""

import multiprocessing
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import torch

from lenette import training
from lenette.errors import DiskFull, Diverged, LenetteError
from lenette.files import is_disk_full
from lenette.interrupts import ctrl_c_blocked, sigterm_as_ctrl_c
from lenette.jobs import Load, datasets
from lenette.progress import Progress
from lenette.recipes import Recipe


class Job(NamedTuple):
    """One run: the recipe, the seed, and the text of the network's source where that is the user's own."""

    recipe: Recipe
    seed: int
    source: str | None


# hear(name, what, more): "begun"; "progress", a Progress of `train`; "ended", with the run's key, be it by divergence;
# and with a text "note", "killed" (it will be tried again), "failed", or "full" (the disk has no room left).
Hear = Callable[[str, str, Any], None]

STOP_SECONDS = 10.0
ATTEMPTS = 2  # the first kill may be due to another program's hunger for memory; the second is the job's own
REPORT_SECONDS = 0.5


def run_here(jobs: dict[str, Job], how: dict[str, Any], hear: Hear) -> None:
    """Train the jobs one after the other in this process.

    Raises:
        DiskFull: no room is left.
        KeyboardInterrupt: on Ctrl-C or SIGTERM, once the run under way is saved.
    """
    load = loading_once()
    with threads_restored():
        for key, job in jobs.items():
            hear(key, "begun", None)
            what, more = _attempt(job, how, load, partial(hear, key, "progress"), partial(hear, key, "note"))
            hear(key, what, more)
            if what == "full":
                raise DiskFull(more)


def run_in_processes(jobs: dict[str, Job], how: dict[str, Any], processes: int, hear: Hear) -> None:
    """Train the jobs in so many processes; a killed process is replaced, and its run goes on from its last checkpoint.

    Raises:
        DiskFull: no room is left.
        KeyboardInterrupt: on Ctrl-C or SIGTERM, once all runs under way are saved.
    """
    waiting = deque(jobs)
    kills = dict.fromkeys(jobs, 0)
    workers: list[Worker] = []
    with sigterm_as_ctrl_c():
        try:
            while waiting or any(worker.key for worker in workers):
                while waiting and len(workers) < processes:
                    workers.append(_start(how))
                for worker in workers:
                    if waiting and worker.key is None:
                        worker.begin(waiting.popleft(), jobs, hear)
                busy = {worker.pipe: worker for worker in workers if worker.key}
                for pipe in connection.wait(list(busy)):
                    worker = busy[pipe]  # type: ignore[index]
                    key, what, more = worker.listen()
                    if what == "killed":
                        workers.remove(worker)
                        kills[key] += 1
                        if kills[key] < ATTEMPTS:
                            waiting.appendleft(key)
                        else:
                            what, more = "failed", f"{more} {ATTEMPTS} times"
                    hear(key, what, more)
                    if what == "full":
                        raise DiskFull(more)
        finally:
            _stop(workers)


@dataclass
class Worker:
    """A process, this end of its pipe, and the key of the job that it has."""

    process: Any
    pipe: Connection
    key: str | None = None

    def begin(self, key: str, jobs: dict[str, Job], hear: Hear) -> None:
        """Give it a job."""
        self.key = key
        hear(key, "begun", None)
        with suppress(OSError):  # it is dead; listen() will say so
            self.pipe.send(jobs[key])

    def listen(self) -> tuple[str, str, Any]:
        """Return its next message; where it is dead, say how it died."""
        key = self.key or ""
        try:
            what, more = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            what, more = "killed", f"its process was killed ({_cause(self.process.exitcode)})"
        if what not in ("progress", "note"):
            self.key = None
        return key, what, more


def _start(how: dict[str, Any]) -> Worker:
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_work, args=(there, how), daemon=True)
    with ctrl_c_blocked(), _main_module_hidden():
        process.start()
    there.close()
    return Worker(process, here)


def _stop(workers: list[Worker]) -> None:
    """Have all processes save their runs and end; a further Ctrl-C ends them at once."""
    for worker in workers:
        if worker.key is None:
            worker.pipe.close()
        else:
            worker.process.terminate()
    try:
        # One that had just ended its job when the signal came waits for another: the end of the pipe tells it.
        for worker in workers:
            worker.process.join(STOP_SECONDS)
            worker.pipe.close()
        for worker in workers:
            worker.process.join()
    except KeyboardInterrupt:
        for worker in workers:
            worker.process.kill()
        raise


def _work(pipe: Connection, how: dict[str, Any]) -> None:
    """Train what comes through the pipe until it closes."""
    load = loading_once()
    reported = 0.0

    def send(what: str, more: Any) -> None:
        try:
            pipe.send((what, more))
        except OSError:  # whoever asked for the run is gone: save it and end
            signal.raise_signal(signal.SIGTERM)

    def report(progress: Progress) -> None:
        nonlocal reported
        if progress.finished or time.monotonic() - reported > REPORT_SECONDS:
            reported = time.monotonic()
            send("progress", progress)

    try:
        while True:
            pipe.send(_attempt(pipe.recv(), how, load, report, partial(send, "note")))
    except (EOFError, OSError, KeyboardInterrupt):
        return


def _attempt(job: Job, how: dict[str, Any], load: Load, report: training.Tell, say: training.Say) -> tuple[str, Any]:
    try:
        run = training.train(job.recipe, job.seed, **how, progress=report, say=say, load=load, source=job.source)
    except Diverged as diverged:
        return "ended", diverged.key
    except DiskFull as full:
        return "full", str(full)
    except LenetteError as error:
        return "failed", str(error)
    except Exception as error:
        if is_disk_full(error):
            return "full", f"the disk is full: {error}"
        return "failed", "".join(traceback.format_exception(error)).rstrip()
    return "ended", run.about.key


def _cause(exitcode: int | None) -> str:
    if exitcode == -9:
        return "SIGKILL, as the system does when memory runs out"
    if exitcode is not None and exitcode < 0:
        return signal.Signals(-exitcode).name
    return f"exit code {exitcode}"


def loading_once() -> Load:
    """Return a stand-in for `jobs.datasets` that keeps what it loaded last."""
    kept: dict[tuple[Any, ...], Any] = {}

    def load(recipe: Recipe, folder: Any) -> Any:
        name = (recipe.dataset, recipe.protocol, recipe.fold, folder)
        if name not in kept:
            kept.clear()
            kept[name] = datasets(recipe, folder)
        return kept[name]

    return load


@contextmanager
def threads_restored() -> Iterator[None]:
    """Leave torch with as many threads as it had: engines set theirs."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Keep the new process from running the user's script again, which a script without a main guard can't bear."""
    main = sys.modules["__main__"]
    hidden: dict[str, Any] = {name: vars(main).pop(name) for name in ("__file__", "__spec__") if name in vars(main)}
    main.__spec__ = None
    try:
        yield
    finally:
        vars(main).update(hidden)
