"""The native engine: whole training steps in C++, compiled for the network and the machine, on the plan's numbers."""

import ctypes
import platform
from typing import Any

import numpy as np
import torch
from torch import nn

from lenette import augment
from lenette.data import Dataset
from lenette.engines.native import compiler
from lenette.engines.native.generate import write
from lenette.engines.native.stages import Reading, read
from lenette.errors import ModelError, NoRoom, UnsupportedByEngine
from lenette.identity import Build
from lenette.models.copies import copied
from lenette.plan import Plan
from lenette.recipes import Recipe

State = dict[str, torch.Tensor]

# Raised by hand when the kernels give other bits for the same build; tests/engines/native/test_bits.py tells when.
ARITHMETIC_VERSION = 1

OPTIMIZERS = {"sgd": 0, "adam": 1, "adamw": 2}
SLOTS = {"sgd": ("momentum_buffer",), "adam": ("exp_avg", "exp_avg_sq"), "adamw": ("exp_avg", "exp_avg_sq")}


class _Settings(ctypes.Structure):
    _fields_ = (
        ("optimizer", ctypes.c_int),
        ("nesterov", ctypes.c_int),
        *((name, ctypes.c_double) for name in ("momentum", "weight_decay", "beta1", "beta2", "eps", "label_smoothing")),
    )


class _Weights(ctypes.Structure):
    _fields_ = (
        *(
            (name, ctypes.c_void_p)
            for name in ("parameters", "buffers", "first", "second", "average_parameters", "average_buffers")
        ),
        ("num_parameters", ctypes.c_int64),
        ("num_buffers", ctypes.c_int64),
    )


class _Epoch(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_void_p) for name in ("images", "labels", "order", "warps", "jitters", "erasures", "grounds")
    )


class _Steps(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("first_step", "num_steps", "start", "num_images")),
        *((name, ctypes.c_void_p) for name in ("rates", "average_decays", "mask_keys", "losses", "correct")),
    )


class Engine:
    """Train a network along a plan, step by step; a given number of threads doesn't change a bit.

    Args:
        model: a network whose graph is of kinds in `stages.KNOWN`; it is trained in place.
        plan: what chance and schedules decide.
        dataset: the training images.
        device: "cpu".
        threads: CPU threads.
        scalar: "float", or "double" for tests.

    Raises:
        UnsupportedByEngine: a layer, an operation or a field is unknown to the engine, or there is no compiler.
        ModelError: the network has fewer outputs than the images have classes.
        NoRoom: there is no memory for batches of that size; the other methods may raise it too, for want of a thread.
    """

    def __init__(
        self,
        model: nn.Module,
        plan: Plan,
        dataset: Dataset,
        device: str = "cpu",
        threads: int = 1,
        scalar: str = "float",
    ) -> None:
        self.dtype = {"float": torch.float32, "double": torch.float64}[scalar]
        self.reading = _read(model, plan.recipe, dataset, self.dtype)
        source = write(model, self.reading, dataset.mean, dataset.std)
        self.library = compiler.compile_library(source, scalar)
        self.plan = plan
        self.threads = threads
        self.step = 0
        self.shape = tuple(dataset.images.shape[1:])
        self.images = dataset.images.contiguous()
        self.labels = dataset.labels.contiguous()
        self.grounds = dataset.grounds.contiguous() if augment.is_on(plan.recipe) else None
        self.rates = plan.rates()
        self.decays = plan.ema_decays()
        self.model = model.to("cpu", self.dtype)
        self.averaged = None if self.decays is None else copied(self.model)
        self.network = self._create()
        self.num_classes = self.library.lenette_num_classes(self.network)
        if self.labels.max() >= self.num_classes:
            raise ModelError(f"the network tells {self.num_classes} classes apart; a label is {self.labels.max()}")

    @staticmethod
    def require(model: nn.Module, recipe: Recipe, dataset: Dataset) -> Build:
        """Return the versions of the algorithms that this network takes and others don't; this needs no compiler.

        Raises:
            UnsupportedByEngine: it doesn't know a layer, an operation or a field, which the message names, or the
                network doesn't fit its images.
        """
        return {**_read(model, recipe, dataset, torch.float32).algorithms}

    @staticmethod
    def build(device: str = "cpu", threads: int = 1) -> Build:
        """Return what decides its bits besides the question; the number of threads doesn't.

        Raises:
            UnsupportedByEngine: the device is no CPU, or there is no compiler.
        """
        if device != "cpu":
            raise UnsupportedByEngine(f"the native engine runs on a CPU, not on '{device}': use the reference engine")
        libc = " ".join(platform.libc_ver())  # its log and pow are in the loss and in Adam
        return {"engine": "native", "arithmetic": ARITHMETIC_VERSION, **compiler.build_of(), "libc": libc}

    def _create(self) -> ctypes.c_void_p:
        recipe = self.plan.recipe
        parameters, buffers = _flatten(self.model)
        average_parameters, average_buffers = (None, None) if self.averaged is None else _flatten(self.averaged)
        self.slots = [torch.zeros_like(parameters) for _ in SLOTS[recipe.optimizer]]
        # The library reads and writes these tensors for as long as it lives.
        self.kept = (parameters, buffers, average_parameters, average_buffers)
        settings = _Settings(
            OPTIMIZERS[recipe.optimizer],
            recipe.nesterov or 0,
            recipe.momentum or 0,
            recipe.weight_decay,
            recipe.beta1 or 0,
            recipe.beta2 or 0,
            recipe.eps or 0,
            recipe.label_smoothing,
        )
        arrays = (parameters, buffers, self.slots[0], self.slots[-1], average_parameters, average_buffers)
        weights = _Weights(*map(_pointer, arrays), parameters.numel(), buffers.numel())
        network = ctypes.c_void_p()
        self._call(
            "create",
            ctypes.c_int(recipe.batch_size),
            ctypes.c_int64(self.plan.num_images),
            ctypes.c_int(self.threads),
            ctypes.byref(settings),
            ctypes.byref(weights),
            ctypes.byref(network),
        )
        return network

    def _call(self, name: str, *arguments: Any) -> None:
        """Call the library's function of that name; raise NoRoom with what it says where it fails."""
        function = self.library[f"lenette_{name}"]
        function.restype = ctypes.c_char_p
        if (failure := function(*arguments)) is not None:
            size = min(self.plan.recipe.batch_size, self.plan.num_images)
            raise NoRoom(
                f"the native engine can't train batches of {size:,} images on {self.threads:,} threads: "
                f"{failure.decode()}; take a smaller batch_size or fewer threads"
            )

    def __del__(self) -> None:
        if hasattr(self, "network"):
            self.library.lenette_destroy(self.network)

    def advance(self, stop: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Train the steps from `self.step` up to, not including, `stop`.

        Returns:
            losses float64 [steps], the mean of each batch, and how many of its images were right, int64 [steps]: both
            in training mode, before the step's update.
        """
        num_steps = max(0, stop - self.step)
        losses = torch.empty(num_steps, dtype=torch.float64)
        correct = torch.empty(num_steps, dtype=torch.int64)
        done = 0
        while self.step < stop:
            epoch, place = divmod(self.step, self.plan.steps_per_epoch)
            count = min(stop - self.step, self.plan.steps_per_epoch - place)
            self._train(epoch, place, count, losses[done:], correct[done:])
            self.step += count
            done += count
            self._count_batches(count)
        return losses, correct

    def _count_batches(self, count: int) -> None:
        """Add so many steps to the batch-norm layers' count of batches; a layer used twice sees two batches a step."""
        nodes = [
            node for stage in self.reading.stages for node in stage.nodes if node.kind == "batch_norm" and node.layer
        ]
        for model in filter(None, (self.model, self.averaged)):
            for node in nodes:
                model.get_buffer(f"{node.name}.num_batches_tracked").add_(count)

    def _train(self, epoch: int, place: int, count: int, losses: torch.Tensor, correct: torch.Tensor) -> None:
        plan, steps = self.plan, slice(self.step, self.step + count)
        order = plan.order(epoch)
        augmentation = [plan.warps(epoch), plan.jitters(epoch), plan.erasures(epoch)]
        keys = np.array(
            [
                plan.mask_key(step, layer)
                for step in range(steps.start, steps.stop)
                for layer in range(self.reading.num_masks)
            ],
            dtype=np.uint64,
        )
        rates, decays = self.rates[steps], None if self.decays is None else self.decays[steps]
        numbers = _Epoch(*map(_pointer, (self.images, self.labels, order, *augmentation, self.grounds)))
        job = _Steps(
            self.step,
            count,
            place * plan.recipe.batch_size,
            plan.num_images,
            _pointer(rates),
            _pointer(decays),
            keys.ctypes.data,
            _pointer(losses),
            _pointer(correct),
        )
        self._call("train", self.network, ctypes.byref(numbers), ctypes.byref(job))

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        """Return float32 [N, classes] for images uint8 [N, C, H, W], in evaluation mode, of averaged weights if any."""
        if tuple(images.shape[1:]) != self.shape or images.dtype != torch.uint8:
            raise ValueError(
                f"images are {images.dtype} {list(images.shape)}, not uint8 [N, {', '.join(map(str, self.shape))}]"
            )
        images = images.contiguous()
        result = torch.empty(len(images), self.num_classes, dtype=self.dtype)
        self._call(
            "evaluate",
            self.network,
            ctypes.c_void_p(images.data_ptr()),
            ctypes.c_int64(len(images)),
            ctypes.c_void_p(result.data_ptr()),
        )
        return (result.log_softmax(1) if self.reading.log_softmax else result).float()

    def weights(self) -> State:
        """Return the weights and buffers to keep, the averaged ones if any, under the model's own keys."""
        return _copies((self.averaged or self.model).state_dict())

    def state(self) -> State:
        """Return all that a later engine needs to go on: "model.<key>", "optimizer.<parameter>.<slot>", "ema.<key>"."""
        state = {f"model.{key}": value for key, value in self.model.state_dict().items()}
        state |= self._optimizer_state()
        if self.averaged is not None:
            state |= {f"ema.{key}": value for key, value in self.averaged.state_dict().items()}
        return _copies(state)

    def load_state(self, state: State, step: int) -> None:
        """Go back to what `state()` returned before that step."""
        for part, model in (("model.", self.model), ("ema.", self.averaged)):
            if model is not None:
                model.load_state_dict({key.removeprefix(part): v for key, v in state.items() if key.startswith(part)})
        for key, slot in self._optimizer_state().items():
            slot.copy_(state[key])
        self.step = step

    def _optimizer_state(self) -> State:
        state, start = {}, 0
        for name, parameter in self.model.named_parameters():
            end = start + parameter.numel()
            for slot, values in zip(SLOTS[self.plan.recipe.optimizer], self.slots, strict=True):
                state[f"optimizer.{name}.{slot}"] = values[start:end].view(parameter.shape)
            start = end
        return state


def _read(model: nn.Module, recipe: Recipe, dataset: Dataset, dtype: torch.dtype) -> Reading:
    if recipe.precision != "float32":
        raise UnsupportedByEngine(f"the native engine doesn't know precision = '{recipe.precision}': use 'float32'")
    for name, parameter in model.named_parameters():
        if parameter.dtype != dtype:
            kinds = [str(kind).removeprefix("torch.") for kind in (parameter.dtype, dtype)]
            raise UnsupportedByEngine(f"parameter '{name}' is {kinds[0]}: the native engine trains {kinds[1]}")
    channels, height, width = dataset.images.shape[1:]
    return read(model, (channels, height, width))


def _copies(state: State) -> State:
    return {key: value.detach().clone() for key, value in state.items()}


def _pointer(tensor: torch.Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _flatten(model: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Move the parameters, and the floating-point buffers, into one flat tensor each, of which they become views."""
    buffers = [value for value in model.buffers() if value.is_floating_point()]
    flat = []
    for tensors in (list(model.parameters()), buffers):
        values = torch.cat([tensor.detach().reshape(-1) for tensor in tensors]) if tensors else torch.zeros(0)
        start = 0
        for tensor in tensors:
            tensor.data = values[start : start + tensor.numel()].view(tensor.shape)
            start += tensor.numel()
        flat.append(values)
    return flat[0], flat[1]
