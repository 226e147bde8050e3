"""The reference engine: stock PyTorch and one visible loop, on CPU or CUDA; every other engine is held against it."""

import platform
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from lenette import augment
from lenette.arithmetic import exact
from lenette.chance import planned
from lenette.data import Dataset
from lenette.errors import UnsupportedByEngine
from lenette.identity import Build
from lenette.inference import logits, rows
from lenette.models.copies import copied
from lenette.plan import Plan
from lenette.recipes import Recipe

# Raised by hand when the loop gives other bits for the same build; tests/engines/test_bits.py tells when.
VERSION = 1

State = dict[str, torch.Tensor]

# Torch's own layers that draw random numbers while they train.
DRAWING = (
    nn.modules.dropout._DropoutNd,
    nn.RReLU,
    nn.MultiheadAttention,
    nn.RNNBase,
    nn.FractionalMaxPool2d,
    nn.FractionalMaxPool3d,
)


class PlannedDropout(nn.Module):
    """Dropout, of single values or of whole channels, whose mask of each step comes from the plan."""

    def __init__(self, engine: "Engine", rate: float, channels: bool) -> None:
        super().__init__()
        self.drop = lambda x: engine.drop(x, rate, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.drop(x) if self.training else x


class PlannedFunctions(TorchFunctionMode):
    """Where it is in force, the functions of dropout take the plan's masks too."""

    def __init__(self, engine: "Engine") -> None:
        super().__init__()
        self.engine = engine

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if function not in (functional.dropout, functional.dropout2d):
            return function(*args, **kwargs)
        if not kwargs["training"]:
            return args[0]
        return self.engine.drop(args[0], kwargs["p"], function is functional.dropout2d)


class Engine:
    """Train a network along a plan, step by step.

    Args:
        model: a network, from float images [N, C, H, W] to logits [N, classes]; it is trained in place.
        plan: what chance and schedules decide.
        dataset: the training images.
        device: "cpu" or "cuda".
        threads: CPU threads of torch, while it works.

    Raises:
        UnsupportedByEngine: a parameter is not float32, or the device knows no bfloat16; `advance` and `logits` raise
            it for an operation that has no algorithm which gives the same bits twice.
    """

    def __init__(self, model: nn.Module, plan: Plan, dataset: Dataset, device: str = "cpu", threads: int = 1) -> None:
        self.require(model, plan.recipe, dataset)
        if device == "cuda" and plan.recipe.precision == "bfloat16" and not torch.cuda.is_bf16_supported():
            name = torch.cuda.get_device_name(device)
            raise UnsupportedByEngine(f"the device {name} knows no bfloat16: use precision = 'float32'")
        self.threads = threads
        self.plan = plan
        self.step = 0
        self.num_masks = 0
        self.device = torch.device(device)
        self.model = model.to(self.device)
        self.images = dataset.images.to(self.device)
        self.labels = dataset.labels.to(self.device)
        self.grounds = dataset.grounds.to(self.device) if augment.is_on(plan.recipe) else None
        self.mean, self.std = dataset.mean, dataset.std
        self.shift, self.width = (torch.tensor(v, device=self.device)[:, None, None] for v in (self.mean, self.std))
        self.rates = plan.rates().tolist()
        self.optimizer = make_optimizer(self.model, plan.recipe)
        self.decays = plan.ema_decays()
        self.averaged = None if self.decays is None else copied(self.model)
        _swap_dropout(self.model, self)
        self.draws_itself = any(_may_draw(module) for module in self.model.modules())

    def advance(self, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Train the steps from `self.step` up to, not including, `stop`.

        Returns:
            losses float64 [steps], the mean of each batch, and how many of its images were right, int64 [steps]: both
            in training mode, before the step's update.
        """
        losses, outputs, targets = [], [], []
        cuda = [self.device] if self.device.type == "cuda" else []
        bfloat16 = self.plan.recipe.precision == "bfloat16"
        autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16)
        self.model.train()
        with exact(self.threads), planned(devices=cuda) as start:
            while self.step < stop:
                if self.draws_itself:
                    start(self.plan.step_seed(self.step))
                self.num_masks = 0
                images, labels = self.batch()
                with autocast:
                    with PlannedFunctions(self) if self.draws_itself else nullcontext():
                        logits = rows(self.model(images), images)
                    loss = functional.cross_entropy(logits, labels, label_smoothing=self.plan.recipe.label_smoothing)
                self.optimizer.param_groups[0]["lr"] = self.rates[self.step]
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                self._average()
                losses.append(loss.detach())
                outputs.append(logits.detach())
                targets.append(labels)
                self.step += 1
        if not losses:
            return torch.empty(0, dtype=torch.float64), torch.empty(0, dtype=torch.int64)
        num_right = [(part.argmax(dim=1) == target).sum() for part, target in zip(outputs, targets, strict=True)]
        return torch.stack(losses).double().cpu(), torch.stack(num_right).cpu()

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the next step's images, float32 [N, C, H, W], augmented and normalised, and labels int64 [N]."""
        epoch, place = divmod(self.step, self.plan.steps_per_epoch)
        size = self.plan.recipe.batch_size
        rows = slice(place * size, (place + 1) * size)
        index = self.plan.order(epoch)[rows].to(self.device)
        # images[index] takes several times as long, and a small network's whole step is 0.3 ms.
        images = self.images.index_select(0, index).float().div_(255)
        if self.grounds is not None:
            ground = self.grounds.index_select(0, index).float().div_(255)
            maps, factors, squares = self.plan.changes(epoch, rows)
            images = augment.augmented(images, maps, factors, squares, ground)
        return images.sub_(self.shift).div_(self.width), self.labels.index_select(0, index)

    def drop(self, x: torch.Tensor, rate: float, channels: bool) -> torch.Tensor:
        """Return x after the step's next dropout, each with a mask of its own, of single values or whole channels."""
        shape = torch.Size((*x.shape[:2], *[1] * (x.ndim - 2))) if channels else x.shape
        self.num_masks += 1
        return x * self.plan.mask(self.step, self.num_masks - 1, shape, rate).to(x)

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return float32 [N, classes] for images uint8 [N, C, H, W], evaluated with the averaged weights if any."""
        model = self.model if self.averaged is None else self.averaged
        with exact(self.threads):
            return logits(model, images, self.mean, self.std, self.device)

    def weights(self) -> State:
        """Return the weights and buffers to keep, the averaged ones if any, under the model's own keys."""
        model = self.model if self.averaged is None else self.averaged
        return _apart(model.state_dict())

    def state(self) -> State:
        """Return all that a later engine needs to go on: "model.<key>", "optimizer.<parameter>.<slot>", "ema.<key>"."""
        state = {f"model.{key}": value for key, value in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            for slot, value in self.optimizer.state.get(parameter, {}).items():
                if value is not None:
                    state[f"optimizer.{name}.{slot}"] = value
        if self.averaged is not None:
            state |= {f"ema.{key}": value for key, value in self.averaged.state_dict().items()}
        return _apart(state)

    def load_state(self, state: State, step: int) -> None:
        """Go back to what `state()` returned before that step."""
        parameters = dict(self.model.named_parameters())
        parts: dict[str, State] = {"model": {}, "optimizer": {}, "ema": {}}
        for key, value in state.items():
            part, _, rest = key.partition(".")
            parts[part][rest] = value
        self.model.load_state_dict(parts["model"])
        self.optimizer.state.clear()
        if self.averaged is not None:
            self.averaged.load_state_dict(parts["ema"])
        for key, value in parts["optimizer"].items():
            name, _, slot = key.rpartition(".")
            # Adam keeps its count of steps on the CPU
            home = "cpu" if slot == "step" else self.device
            self.optimizer.state[parameters[name]][slot] = value.to(home, copy=True)
        self.step = step

    @staticmethod
    def require(model: nn.Module, recipe: Recipe, dataset: Dataset) -> Build:
        """Raise UnsupportedByEngine for a parameter that is not float32."""
        for name, parameter in model.named_parameters():
            if parameter.dtype != torch.float32:
                kind = str(parameter.dtype).removeprefix("torch.")
                raise UnsupportedByEngine(
                    f"parameter '{name}' is {kind}: the reference engine trains float32: end the network with .float()"
                )
        return {}

    @staticmethod
    def build(device: str, threads: int) -> Build:
        """Return what decides its bits besides the question."""
        build: Build = {
            "engine": "reference",
            "loop": VERSION,
            "torch": str(torch.__version__),
            "device": device,
            "processor": platform.machine(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "threads": threads,
        }
        if device == "cuda":
            major, minor = torch.cuda.get_device_capability()
            build |= {
                "device": torch.cuda.get_device_name(),
                "cuda_capability": f"{major}.{minor}",
                "cuda": str(torch.version.cuda),
                "cudnn": str(torch.backends.cudnn.version()),
            }
        return build

    def _average(self) -> None:
        if self.averaged is None or self.decays is None:
            return
        decay = self.decays[self.step].item()
        with torch.no_grad():
            for mean, value in zip(_tensors(self.averaged), _tensors(self.model), strict=True):
                if mean.is_floating_point():
                    mean.lerp_(value, 1 - decay)
                else:
                    mean.copy_(value)


def _tensors(model: nn.Module) -> list[torch.Tensor]:
    """Return the parameters and buffers, each once, even where layers share it."""
    return [*model.parameters(), *model.buffers()]


def _apart(state: State) -> State:
    """Return a copy of the tensors on the CPU, each in memory of its own and in the order of its dimensions."""
    return {key: value.detach().cpu().clone(memory_format=torch.contiguous_format) for key, value in state.items()}


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the optimiser that the recipe names, over the parameters to train."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            weight_decay=recipe.weight_decay,
        )
    adam = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[recipe.optimizer]
    return adam(
        parameters,
        lr=recipe.lr,
        betas=(recipe.beta1, recipe.beta2),
        eps=recipe.eps,
        weight_decay=recipe.weight_decay,
    )


def _swap_dropout(model: nn.Module, engine: Engine) -> None:
    """Put PlannedDropout in the place of each nn.Dropout and nn.Dropout2d."""
    for name, dropout in list(model.named_modules(remove_duplicate=False)):
        if type(dropout) in (nn.Dropout, nn.Dropout2d):
            parent, _, child = name.rpartition(".")
            setattr(
                model.get_submodule(parent), child, PlannedDropout(engine, dropout.p, type(dropout) is nn.Dropout2d)
            )


def _may_draw(module: nn.Module) -> bool:
    """Say whether the module may draw random numbers of its own: all but most of torch's own layers are thought to."""
    home = type(module).__module__
    if isinstance(module, PlannedDropout):
        return False
    hooked = bool(module._forward_hooks or module._forward_pre_hooks)
    return hooked or not home.startswith("torch.nn.modules") or isinstance(module, DRAWING)
