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

import hashlib
import json
import re
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import nn

from lenette import files, models
from lenette.errors import RunError, nearest
from lenette.inference import logits
from lenette.recipes import Recipe, from_toml

DEFAULT_STORE = Path("runs")
SOURCE = "network.py"
MILESTONES = (0.98, 0.99, 0.994)
ABOUT = {"seed", "key", "status", "created"}  # what run.json holds at least


def key_of(recipe: Recipe, seed: int, data_digest: list[str], build: dict[str, Any]) -> str:
    """Return the digest (hex) of all that decides a run's bits: the same key is the same run."""
    decides = [recipe.digest, models.source_digest(recipe.model), seed, data_digest, build, recipe.max_seconds]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def _figure(part: str, name: str) -> Any:
    """Return a property that reads a final figure, or says why there is none."""

    def read(run: "Run") -> Any:
        if part not in run.final:
            raise RunError(f"run {run.id} has no {part} {name}: it evaluated its {', '.join(run.final)} images")
        return run.final[part][name]

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
    def about(self) -> dict[str, Any]:
        """seed, key, status ("running", "interrupted", "cut", "diverged", "done"), engine, threads, data, created."""
        about = self._read("run.json")
        if missing := ABOUT - about.keys():
            raise RunError(f"{self.folder / 'run.json'} is damaged: it lacks {', '.join(sorted(missing))}")
        return about

    @property
    def environment(self) -> dict[str, Any]:
        """The machine and the libraries."""
        return self._read("environment.json")

    @property
    def status(self) -> str:
        """As in `about`; a run that nobody trains any more but calls itself running was killed: "interrupted"."""
        status = self.about["status"]
        return "interrupted" if status == "running" and not self.is_locked() else status

    @property
    def seed(self) -> int:
        """The plan's seed."""
        return self.about["seed"]

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """One dict for each finished epoch."""
        path = self.folder / "metrics.jsonl"
        try:
            lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        except ValueError as error:
            raise RunError(f"can't read {path}: {error}") from error
        if not lines and (self.folder / "final.json").exists():
            raise RunError(f"{path} is missing or empty: lenette train {self.folder} --again")
        return lines

    @property
    def final(self) -> dict[str, Any]:
        """What the final weights are worth on each part: {"train": ..., "test" or "validation": ...}.

        Raises:
            RunError: the run has not ended, or its file is damaged.
        """
        path = self.folder / "final.json"
        if not path.exists() and self.status in ("done", "cut"):
            raise RunError(f"{path} is missing: lenette train {self.folder} --again")
        if not path.exists():
            raise RunError(f"run {self.id} has not ended ({self.status}): lenette resume {self.argument}")
        return self._read("final.json")

    @property
    def part(self) -> str | None:
        """The part that is evaluated each epoch: "test" (course), "validation" (sealed), or None (fold -1)."""
        return evaluated_part(self.recipe)

    @property
    def curve(self) -> dict[str, list[Any]]:
        """The epochs' figures as columns, one list a name."""
        names = dict.fromkeys(name for line in self.metrics for name in line)
        return {name: [line.get(name) for line in self.metrics] for name in names}

    @property
    def seconds_to(self) -> dict[float, float | None]:
        """Seconds of training, evaluation excluded, until an epoch reached 98, 99 and 99.4 %; None if none did."""
        reached: dict[float, float | None] = {}
        for goal in MILESTONES:
            lines = [line for line in self.metrics if line.get(f"{self.part}_accuracy", 0) >= goal]
            reached[goal] = lines[0]["train_seconds"] if lines else None
        return reached

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
        """The network of one's own as file.py:function, of the copy that the run keeps; None for any other."""
        function = self.recipe.model.rpartition(":")[2]
        return f"{self.folder / SOURCE}:{function}" if (self.folder / SOURCE).exists() else None

    def model(self) -> nn.Module:
        """Return the network with its final weights, in evaluation mode.

        Raises:
            RunError: the run has not ended, or its weights are damaged.
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
        return model.eval()

    def untrained_model(self) -> nn.Module:
        """Return the network with weights of no meaning."""
        data = self.about["data"]
        name = self.source or self.recipe.model
        return models.build(name, len(data["classes"]), data["shape"][0], data["shape"][1])

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return float32 [N, classes] for images uint8 [N, C, H, W]."""
        data = self.about["data"]
        if images.dtype != torch.uint8 or list(images.shape[1:]) != data["shape"]:
            raise RunError(
                f"images of {images.dtype} {list(images.shape)}: run {self.id} takes uint8 [N, "
                + ", ".join(map(str, data["shape"])) + "]"
            )  # fmt: skip
        return logits(self.model(), images, data["mean"], data["std"])

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        """Return class probabilities float32 [N, classes] for images uint8 [N, C, H, W]."""
        return self.logits(images).softmax(dim=1)

    def set_status(self, status: str, **more: Any) -> None:
        """Write the status, and what else there is to say."""
        files.write_json(self.folder / "run.json", {**self.about, "status": status, **more})

    def write_metrics(self, lines: list[dict[str, Any]]) -> None:
        """Write all epochs' lines anew."""
        files.write_text(self.folder / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))

    def write_checkpoint(self, state: dict[str, torch.Tensor], progress: dict[str, Any]) -> None:
        """Write what is needed to go on: the engine's state and the loop's own sums."""
        from safetensors.torch import save_file

        with files.replacing(self.folder / "checkpoint.safetensors") as temporary:
            save_file(state, temporary, metadata={"progress": json.dumps(progress)})

    def read_checkpoint(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]] | None:
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
                return state, json.loads(file.metadata()["progress"])
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"the checkpoint {path} is damaged ({error}): delete it to begin anew") from error

    def finish(self, weights: dict[str, torch.Tensor], final: dict[str, Any], status: str, **more: Any) -> None:
        """Write the weights and what they are worth, then drop the checkpoint."""
        from safetensors.torch import save_file

        with files.replacing(self.folder / "model.safetensors") as temporary:
            save_file(weights, temporary)
        files.write_json(self.folder / "final.json", final)
        self.set_status(status, **more)
        (self.folder / "checkpoint.safetensors").unlink(missing_ok=True)

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
        lock.release()
        return False

    def _read(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"can't read {path}: {error}") from error
        if not isinstance(value, dict):
            raise RunError(f"{path} is damaged: it holds no JSON object")
        return value


def evaluated_part(recipe: Recipe) -> str | None:
    """Return the part of the data that a run of this recipe evaluates each epoch, or None."""
    if recipe.protocol == "course":
        return "test"
    return "validation" if recipe.fold >= 0 else None


def create(store: Path, recipe: Recipe, about: dict[str, Any], environment: dict[str, Any]) -> Run:
    """Make the folder of a new run; `about` names at least its seed and key.

    A run of that key which is there already is kept beside it, as NAME~1, NAME~2 and so on.

    Raises:
        RunError: that run is being trained now.
    """
    name = re.sub(r"[^\w.+-]+", "-", recipe.name).strip(".-") or "run"
    folder = store / f"{name}-s{about['seed']}-{about['key'][:8]}"
    if folder.exists():
        if Run(folder).is_locked():
            raise RunError(f"run {folder.name} is being trained by another process")
        number = next(number for number in count(1) if not folder.with_name(f"{folder.name}~{number}").exists())
        folder.rename(folder.with_name(f"{folder.name}~{number}"))
    files.write_text(folder / "recipe.toml", recipe.to_toml())
    files.write_json(folder / "environment.json", environment)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    files.write_json(folder / "run.json", {**about, "status": "running", "created": created})
    return Run(folder)


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
        return run.about["created"]
    except RunError:
        return ""


def with_key(store: Path, key: str) -> Run | None:
    """Return the store's run with that key, or None."""
    for path in store.glob(f"*-{key[:8]}/run.json"):
        run = Run(path.parent)
        if run.about["key"] == key:
            return run
    return None


def find(name: str, store: Path = DEFAULT_STORE) -> Run:
    """Return the run with that folder, or with that unique beginning of its name.

    Raises:
        RunError: there is none, or more than one.
    """
    if (Path(name) / "run.json").exists():
        return Run(Path(name))
    name = name.rstrip("/")
    runs = in_store(store)
    found = [run for run in runs if run.id == name] or [run for run in runs if run.id.startswith(name)]
    if len(found) == 1:
        return found[0]
    if found:
        named = ", ".join(f"{run.id} ({_created(run)[:10]})" for run in found)
        raise RunError(f"'{name}' begins the names of {len(found)} runs: {named}")
    hint = nearest(name, [run.id for run in runs]) or f"; `lenette runs` lists the {len(runs)} that it holds"
    raise RunError(f"no run '{name}' in {store}{hint}")
