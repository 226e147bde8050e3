"""The record of one run, a folder written file by file, each at once; and the store that finds it again.

recipe.toml           what was trained
run.json              which run it is: seed, engine, data, status
environment.json      on what machine
metrics.jsonl         one line an epoch
checkpoint.safetensors  all that is needed to go on from a step; gone once the run is done
model.safetensors     the final weights
final.json            what they are worth
network.py            the source of a network of one's own, as it was
"""

import shlex
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import msgspec
import torch
from filelock import FileLock, Timeout
from torch import nn

from lenette import files, models, recipes, records
from lenette.data import DATASETS
from lenette.data.preparation import Preparation, published
from lenette.environment import Environment
from lenette.errors import RecipeError, RunError, nearest
from lenette.identity import Build, Question
from lenette.inference import Network
from lenette.metrics import Evaluation
from lenette.models import trust
from lenette.progress import Epoch
from lenette.recipes import Recipe, from_toml
from lenette.records import Count, Record, Seconds

if TYPE_CHECKING:
    from lenette.prepare.answers import Answer

DEFAULT_STORE = Path("runs")
SOURCE = "network.py"
MILESTONES = (0.98, 0.99, 0.994)

Status = Literal["running", "interrupted", "cut", "diverged", "done"]


class DataAbout(Record, frozen=True):
    """The data of a run: `digest` of the training images and of those evaluated every epoch, "" where there are none;
    `folder` where they lay, None for where they were found; `shape` [C, H, W]; `mean` and `std` of each channel;
    `preparation` how a picture becomes such an image, None in older records."""

    name: str
    folder: str | None
    digest: list[str]
    num_images: Count
    classes: list[str]
    shape: list[Count]
    mean: list[float]
    std: list[float]
    preparation: Preparation | None = None


class DivergedAt(Record, frozen=True):
    """Where a loss was no longer finite: the step (from 0), its learning rate, its epoch (from 1)."""

    step: Count
    lr: float
    epoch: Count


class About(Record, frozen=True, kw_only=True):
    """What is known of a run before its first step, and its status.

    `question` and `build` make its `key` (see `identity`); runs of version 1 have no question, and their key was made
    by another rule. `parameters` are those that are trained; `counts` tell all of the network's numbers apart.
    """

    key: str
    seed: int
    status: Status
    created: str
    engine: str
    engine_reason: str
    device: str
    threads: int
    parameters: Count
    num_steps: Count
    data: DataAbout
    question: Question | None = None
    build: Build | None = None
    counts: models.Counts | None = None
    diverged_at: DivergedAt | None = None


class Tally(Record, frozen=True):
    """The sums of the epoch under way, over its images so far, and the seconds spent in all."""

    loss: float = 0.0
    num_right: Count = 0
    num_seen: Count = 0
    train_seconds: Seconds = 0.0
    evaluate_seconds: Seconds = 0.0


class Checkpoint(Record, frozen=True):
    """Where a run was cut: the steps done, the epoch's sums, and how many lines of metrics were written."""

    step: Count
    tally: Tally
    num_lines: Count


def _figure(part: str, name: str) -> Any:
    """Return a property that reads a final figure, or says why there is none."""

    def read(run: "Run") -> Any:
        if part not in run.final:
            raise RunError(f"run {run.id} has no {part} {name}: it evaluated its {', '.join(run.final)} images")
        return getattr(run.final[part], name)

    return property(read, doc=f"The final {name} on the {part} images; RunError where the run has none.")


@dataclass(frozen=True)
class Run:
    """One training run on the disk. `run.about` holds what is known of it before the first step."""

    folder: Path

    @property
    def id(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def argument(self) -> str:
        """What names the run to a command: its id where the command would look for it, else its folder."""
        return self.id if self.folder.parent == DEFAULT_STORE else shlex.quote(str(self.folder))

    @property
    def recipe(self) -> Recipe:
        """What was trained."""
        return from_toml(self.folder / "recipe.toml")

    @property
    def about(self) -> About:
        """Which run it is, and how far it came."""
        return records.read(self.folder / "run.json", About, RunError)

    @property
    def environment(self) -> Environment:
        """The machine and the libraries."""
        return records.read(self.folder / "environment.json", Environment, RunError)

    @property
    def build(self) -> Build:
        """The engine's build."""
        return self.about.build or self.environment.build or {}

    @property
    def status(self) -> str:
        """As in `about`; a run that nobody trains any more but calls itself running was killed: "interrupted"."""
        status = self.about.status
        return "interrupted" if status == "running" and not self.is_locked() else status

    @property
    def seed(self) -> int:
        """The plan's seed."""
        return self.about.seed

    @property
    def metrics(self) -> list[Epoch]:
        """One record for each finished epoch."""
        path = self.folder / "metrics.jsonl"
        lines = records.content(path, RunError).splitlines() if path.exists() else []
        if not lines and (self.folder / "final.json").exists():
            raise RunError(f"{path} is missing or empty: lenette train {self.folder} --again")
        return [records.decode(line, Epoch, f"{path}, line {place}", RunError) for place, line in enumerate(lines, 1)]

    @property
    def final(self) -> dict[str, Evaluation]:
        """What the final weights are worth on each part: {"train": ..., "test" or "validation": ...}.

        Raises:
            RunError: the run has not ended, or its file is damaged.
        """
        path = self.folder / "final.json"
        if not path.exists() and self.status in ("done", "cut"):
            raise RunError(f"{path} is missing: lenette train {self.folder} --again")
        if not path.exists():
            raise RunError(f"run {self.id} has not ended ({self.status}): lenette resume {self.argument}")
        return records.read(path, dict[str, Evaluation], RunError)

    @property
    def part(self) -> str | None:
        """The part that is evaluated each epoch: "test" (course), "validation" (sealed), or None (fold -1)."""
        return evaluated_part(self.recipe)

    @property
    def curve(self) -> dict[str, list[Any]]:
        """The epochs' figures as columns, one list a name; those that no epoch has are left out."""
        columns = {name: [getattr(epoch, name) for epoch in self.metrics] for name in Epoch.__struct_fields__}
        return {name: column for name, column in columns.items() if any(value is not None for value in column)}

    @property
    def seconds_to(self) -> dict[float, float | None]:
        """Seconds of training, evaluation excluded, until an epoch reached 98, 99 and 99.4 %; None if none did."""
        name, lines = f"{self.part}_accuracy", self.metrics if self.part else []
        return {
            goal: next((epoch.train_seconds for epoch in lines if (getattr(epoch, name) or 0) >= goal), None)
            for goal in MILESTONES
        }

    train_accuracy = _figure("train", "accuracy")
    train_loss = _figure("train", "loss")
    train_per_class_accuracy = _figure("train", "per_class_accuracy")
    test_accuracy = _figure("test", "accuracy")
    test_loss = _figure("test", "loss")
    test_per_class_accuracy = _figure("test", "per_class_accuracy")
    validation_accuracy = _figure("validation", "accuracy")
    validation_loss = _figure("validation", "loss")
    validation_per_class_accuracy = _figure("validation", "per_class_accuracy")

    @property
    def source(self) -> str | None:
        """The text of the file of a network of one's own, as it was; None for any other network."""
        path = self.folder / SOURCE
        if not path.exists() and not models.is_file(self.recipe.model):
            return None
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"can't read {path}: {error}") from error

    @property
    def preparation(self) -> Preparation:
        """How a picture becomes an image as those that it was trained on are (see `prepare.ready`)."""
        known = self.about.data.preparation
        if known is None:  # a run of version 1
            name = self.recipe.dataset
            return published(name) if name in DATASETS else Preparation()
        return known

    def network(self) -> Network:
        """Return the network with its final weights.

        Raises:
            RunError: the run has not ended, or its weights are damaged.
            ModelError: it is somebody else's code, which this user has not agreed to run (see `models.trust`).
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        self.final  # noqa: B018 - refuses where there is none
        model = self.untrained_model()
        path = self.folder / "model.safetensors"
        try:
            model.load_state_dict(load_file(path))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise RunError(f"the weights {path} are damaged ({error}): lenette train {self.folder} --again") from error
        data = self.about.data
        return Network(model.eval(), data.classes, data.shape, data.mean, data.std)

    def untrained_model(self) -> nn.Module:
        """Return the network before training, its weights drawn from torch's global generator.

        Raises:
            ModelError: it can't be built, or is somebody else's code, which this user has not agreed to run.
        """
        data, source = self.about.data, self.source
        if source is not None:
            trust.require(source, f"{SOURCE} of run {self.id}", False)
        return models.build(self.recipe.model, len(data.classes), data.shape[0], data.shape[1], source)

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return float32 [N, classes] for images uint8 [N, C, H, W]; the network is built anew each time."""
        return self.network().logits(images)

    @overload
    def predict(self, images: torch.Tensor) -> torch.Tensor: ...
    @overload
    def predict(self, images: "str | Path | Iterable[str | Path]") -> "list[Answer]": ...
    def predict(self, images: "torch.Tensor | str | Path | Iterable[str | Path]") -> "torch.Tensor | list[Answer]":
        """Return class probabilities float32 [N, classes] for images uint8 [N, C, H, W]; see `logits`.

        Of pictures, a path, a folder or several of them, it returns a list with an Answer for each, as `lenette
        predict` gives: `name`, the likeliest class, and `probabilities`. One that can't be read has a `fault` instead.
        """
        network = self.network()
        if isinstance(images, torch.Tensor):
            return network.probabilities(images)
        from lenette.prepare.answers import answers, pictures

        paths = pictures([images] if isinstance(images, str | Path) else images)
        return [answer for path in paths for answer in answers(network, self.preparation, path)]

    def set_status(self, status: Status, **more: Any) -> None:
        """Write the status, and what else there is to say."""
        records.write(self.folder / "run.json", msgspec.structs.replace(self.about, status=status, **more))

    def write_metrics(self, lines: list[Epoch]) -> None:
        """Write all epochs' lines anew."""
        files.write_text(self.folder / "metrics.jsonl", "".join(records.line(line) + "\n" for line in lines))

    def write_checkpoint(self, state: dict[str, torch.Tensor], progress: Checkpoint) -> None:
        """Write what is needed to go on: the engine's state and the loop's own sums."""
        from safetensors.torch import save_file

        with files.replacing(self.folder / "checkpoint.safetensors") as temporary:
            save_file(state, temporary, metadata={"progress": records.line(progress)})

    def read_checkpoint(self) -> tuple[dict[str, torch.Tensor], Checkpoint] | None:
        """Return what write_checkpoint wrote last, or None.

        Raises:
            RunError: the file is damaged.
        """
        from safetensors import SafetensorError, safe_open

        path = self.folder / "checkpoint.safetensors"
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
                return state, records.decode((file.metadata() or {}).get("progress", ""), Checkpoint, path, RunError)
        except (OSError, SafetensorError, ValueError, RunError) as error:
            raise RunError(f"the checkpoint {path} is damaged ({error}): delete it to begin anew") from error

    def finish(self, weights: dict[str, torch.Tensor], final: dict[str, Evaluation], status: Status) -> None:
        """Write the weights and what they are worth, then drop the checkpoint."""
        from safetensors.torch import save_file

        with files.replacing(self.folder / "model.safetensors") as temporary:
            save_file(weights, temporary)
        records.write(self.folder / "final.json", final)
        self.set_status(status)
        (self.folder / "checkpoint.safetensors").unlink(missing_ok=True)

    def delete(self) -> None:
        """Delete the run's folder.

        Raises:
            RunError: somebody trains it now.
        """
        lock = self.lock()
        try:
            lock.acquire()
        except Timeout:
            raise RunError(f"run {self.id} is being trained by another process: it can't be deleted") from None
        with lock:
            (self.folder / "run.json").unlink(missing_ok=True)  # what is half deleted is no run
        shutil.rmtree(self.folder)

    def lock(self) -> FileLock:
        """Return the lock that whoever trains this run holds."""
        return FileLock(self.folder / ".lock", timeout=0)

    def is_locked(self) -> bool:
        """Say whether somebody trains this run now."""
        lock = self.lock()
        try:
            lock.acquire()
        except Timeout:
            return True
        except OSError:  # a folder that can't be written to: nobody trains there
            return False
        lock.release()
        return False


def evaluated_part(recipe: Recipe) -> str | None:
    """Return the part of the data that a run of this recipe evaluates each epoch, or None."""
    if recipe.protocol == "course":
        return "test"
    return "validation" if recipe.fold >= 0 else None


def create(store: Path, recipe: Recipe, about: About, environment: Environment, source: str | None = None) -> Run:
    """Make the folder of a new run; `source` is the text of the file of a network of one's own.

    A run of that key which is there already is kept beside it, as NAME~1, NAME~2 and so on.

    Raises:
        RunError: that run is being trained now.
    """
    folder = store / f"{recipes.named(recipe) or 'run'}-s{about.seed}-{about.key[:8]}"
    if (folder / "run.json").exists():
        if Run(folder).is_locked():
            raise RunError(f"run {folder.name} is being trained by another process")
        number = next(number for number in count(1) if not folder.with_name(f"{folder.name}~{number}").exists())
        folder.rename(folder.with_name(f"{folder.name}~{number}"))
    files.write_text(folder / "recipe.toml", recipe.to_toml())
    records.write(folder / "environment.json", environment)
    if source is not None:
        files.write_text(folder / SOURCE, source)
    records.write(folder / "run.json", about)
    return Run(folder)


def now() -> str:
    """Return the time as records hold it: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def store_lock(store: Path) -> FileLock:
    """Return the lock under which runs are looked for and made, so that two processes don't make the same one."""
    store.mkdir(parents=True, exist_ok=True)
    return FileLock(store / ".lock")


def in_store(store: Path) -> list[Run]:
    """Return the runs of the store, the oldest first; before them those of which that can't be read."""
    runs = [Run(path.parent) for path in store.glob("*/run.json")]
    return sorted(runs, key=lambda run: (_created(run), run.id))


def _created(run: Run) -> str:
    try:
        return run.about.created
    except RunError:
        return ""


def with_key(store: Path, key: str) -> Run | None:
    """Return the store's run with that key, or None."""
    for path in store.glob(f"*-{key[:8]}/run.json"):
        run = Run(path.parent)
        if run.about.key == key:
            return run
    return None


def find(name: str, store: Path = DEFAULT_STORE, run_code: bool = False) -> Run:
    """Return the run with that folder, or with that unique beginning of its name.

    Args:
        run_code: whether its network, where that is a Python file of somebody else's, may be run from now on.

    Raises:
        RunError: there is none, or more than one.
    """
    run = _find(name, store)
    if run_code and (source := run.source) is not None:
        trust.remember(source)
    return run


def load_recipe(name: str, store: Path = DEFAULT_STORE, run_code: bool = False) -> Recipe:
    """Return the recipe of that name: what `recipes.load` takes, or that of a run, by its folder or as `find` says.

    A run's network of one's own is then the copy that the run keeps.

    Args:
        run_code: whether a run's network, where that is a Python file of somebody else's, may be run from now on.

    Raises:
        RecipeError: there is no such recipe or run, or it can't be read.
        ModelError: the run's network is somebody else's code, which this user has not agreed to run.
    """
    if not (Path(name) / "run.json").is_file():
        try:
            return recipes.load(name)
        except RecipeError:
            if ":" in name or name.endswith(".toml") or not _named(name, store):
                raise
    run = find(name, store, run_code)
    recipe, source = run.recipe, run.source
    if source is None:
        return recipe
    trust.require(source, f"{SOURCE} of run {run.id}", run_code)
    return recipe.but(model=f"{run.folder / SOURCE}:{recipe.model.rpartition(':')[2]}")


def _named(name: str, store: Path) -> list[Run]:
    """Return the runs of that name, or else those whose names begin so."""
    runs = in_store(store)
    return [run for run in runs if run.id == name] or [run for run in runs if run.id.startswith(name)]


def _find(name: str, store: Path) -> Run:
    if (Path(name) / "run.json").exists():
        return Run(Path(name))
    name = name.rstrip("/")
    found = _named(name, store)
    if len(found) == 1:
        return found[0]
    if found:
        named = ", ".join(f"{run.id} ({_created(run)[:10]})" for run in found)
        raise RunError(f"'{name}' begins the names of {len(found)} runs: {named}")
    runs = in_store(store)
    hint = nearest(name, [run.id for run in runs]) or f"; `lenette runs` lists the {len(runs)} that it holds"
    raise RunError(f"no run '{name}' in {store}{hint}")
