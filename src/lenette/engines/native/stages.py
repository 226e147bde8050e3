"""Read a network's graph as the stages of the native engine."""

from collections import Counter
from dataclasses import dataclass, field
from math import prod

from torch import nn

from lenette.engines.native.refusals import refusal, require, require_tensors
from lenette.errors import UnsupportedByEngine
from lenette.models.graph import Graph, Node, NotAGraph, graph
from lenette.models.windows import Pooling, margins, pair, pooling

Shape = tuple[int, int, int]  # channels, height, width; a flat value is (features, 1, 1)

# Raised by hand when `winograd.hpp` gives other bits; `engine.ARITHMETIC_VERSION` is of what every network takes.
WINOGRAD_VERSION = 1

IMAGES = -1  # the stage that reads the images has them for its input

# What a tail may hold, in this order; a node that comes in another order starts a new stage.
SLOTS = ("norm", "activation", "inner_dropout", "pool", "outer_dropout")
ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu", "elu", "sigmoid", "silu", "tanh", "gelu", "hardswish", "hardsigmoid"),
    *("softplus", "affine"),
)
POOLS = ("max_pool", "average_pool", "adaptive_average_pool")
OPERATIONS = (
    *("convolution", "linear", "add", "multiply", "concatenate"),
    *("prelu", "layer_norm", "group_norm", "softmax", "dropout2d"),
)
KNOWN = ("input", "reshape", "batch_norm", "dropout", *ACTIVATIONS, *POOLS, *OPERATIONS)


@dataclass
class Stage:
    """One operation and the tail that follows it.

    `kind` is that of an operation's node, or "copy", "reshape", "pad" or a pool's; `inputs` are the numbers of the
    stages that it reads, `sources` the shapes of what they give; `made` is the operation's output, `shape` the tail's;
    `tail` maps slots to nodes, `masks` the slots of dropouts (and "" for the operation's own) to their numbers in the
    plan.
    """

    kind: str
    inputs: list[int]
    sources: list[Shape]
    made: Shape
    node: Node | None = None
    window: Pooling | None = None
    margin: tuple[int, int] | None = None  # of a pad, above and to the left
    tail: dict[str, Node] = field(default_factory=dict)
    masks: dict[str, int] = field(default_factory=dict)
    pooled: Pooling | None = None

    @property
    def shape(self) -> Shape:
        """What the stage hands on."""
        return self.made if self.pooled is None else (self.made[0], *self.pooled.size)

    @property
    def is_winograd(self) -> bool:
        """Whether it is a convolution for which Winograd's algorithm (`winograd.hpp`) is measurably the faster one.

        It saves multiplications for each pair of channels and costs additions for each channel, and takes outputs by
        twos: with fewer channels, or an odd last row and column of a small map, it gains nothing.
        """
        if self.kind != "convolution" or not self.node:
            return False
        options, inputs, (outputs, height, width) = self.node.options, self.sources[0][0], self.made
        plain = options["kernel_size"] == (3, 3) and options["groups"] == 1
        plain = plain and pair(options["stride"]) == pair(options["dilation"]) == (1, 1)
        computed = (height + height % 2) * (width + width % 2)
        return plain and min(inputs, outputs) >= 12 and inputs * outputs >= 384 and computed <= 1.2 * height * width

    @property
    def nodes(self) -> list[Node]:
        """All that the stage computes."""
        return [node for node in (self.node, *self.tail.values()) if node]

    def is_free(self, slot: str) -> bool:
        """Say whether the slot and all later ones are empty, or it is a ReLU's, which max-pool may come before."""
        later = [name for name in self.tail if SLOTS.index(name) >= SLOTS.index(slot)]
        return not later or (slot == "activation" and later == ["pool"] and self.tail["pool"].kind == "max_pool")


@dataclass(frozen=True)
class Reading:
    """A network as stages; `num_masks` are drawn in each step, and a last `log_softmax` is left to who wants logits."""

    image_shape: Shape
    stages: list[Stage]
    num_masks: int
    log_softmax: bool

    @property
    def algorithms(self) -> dict[str, int]:
        """The versions of the algorithms that not every network takes."""
        return {"winograd": WINOGRAD_VERSION} if any(stage.is_winograd for stage in self.stages) else {}


def read(model: nn.Module, image_shape: Shape) -> Reading:
    """Return the network's stages.

    Raises:
        UnsupportedByEngine: the network is no graph, or the engine doesn't know a layer or operation, which the message
            names.
    """
    try:
        found = graph(model, image_shape)
    except NotAGraph as error:
        raise UnsupportedByEngine(
            f"the native engine can't read the network: {error}: use the reference engine"
        ) from error
    last = found.nodes[found.output]
    if len(last.shape) != 1:
        raise UnsupportedByEngine("the native engine wants a network that ends flat, [N, classes]: end it with Flatten")
    log_softmax = last.kind == "log_softmax" and last.options["dim"] == 1
    reader = _Reader(Graph(found.nodes, last.inputs[0] if log_softmax else found.output))
    stages = reader.read()
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not trained.intersection(reader.num_uses):
        raise UnsupportedByEngine("the native engine finds no weights to train in the network")
    require_tensors(model, [node for stage in stages for node in stage.nodes])
    return Reading(image_shape, stages, len(reader.masks), log_softmax)


def form(shape: tuple[int, ...]) -> Shape:
    """Return the shape of a node as channels, height and width."""
    flat = prod(shape)
    return (shape[0], shape[1], shape[2]) if len(shape) == 3 else (flat, 1, 1)


class _Reader:
    """Put nodes into stages, one by one."""

    def __init__(self, found: Graph) -> None:
        self.graph, self.used = found, found.used
        self.stages: list[Stage] = []
        self.at: dict[int, int] = {}  # the stage that gives a node's value
        dropouts = [place for place, node in enumerate(found.nodes) if node.kind in ("dropout", "dropout2d")]
        self.masks = {place: number for number, place in enumerate(dropouts)}
        users = [found.nodes[place] for place in self.used if found.nodes[place].kind != "reshape"]
        self.num_readers = Counter(self.origin(place) for user in users for place in user.inputs)
        self.num_uses = Counter(name for user in users for name in user.tensors.values())

    def origin(self, place: int) -> int:
        """Return the place of the node whose value this one is, but for its shape."""
        while self.graph.nodes[place].kind == "reshape":
            place = self.graph.nodes[place].inputs[0]
        return place

    def read(self) -> list[Stage]:
        for place, node in enumerate(self.graph.nodes):
            if place in self.used:
                self.add(place, node)
            elif node.kind == "batch_norm":
                raise refusal(node, "whose output is not used")
        return self.stages

    def add(self, place: int, node: Node) -> None:
        if node.kind not in KNOWN:
            raise refusal(node)
        require(node, [self.graph.nodes[one].shape for one in node.inputs])
        if node.kind == "input":
            self.at[place] = IMAGES
        elif node.kind == "reshape":
            self.at[place] = self.at[node.inputs[0]]
        elif node.kind in OPERATIONS or not self.fuse(place, node):
            self.start(place, node)

    def fuse(self, place: int, node: Node) -> bool:
        """Put the node into the tail of the stage that it reads, where that is possible."""
        source = node.inputs[0]
        number = self.at[source]
        if number == IMAGES or self.num_readers[self.origin(source)] > 1:
            return False
        stage = self.stages[number]
        slot = _slot(node, stage)
        if not stage.is_free(slot):
            return False
        if slot in ("norm", "pool") and form(self.graph.nodes[source].shape) != stage.shape:
            return False
        # Running statistics are updated in the order of the stages, which has to be the network's own.
        if slot == "norm" and any(self.num_uses[name] > 1 for name in node.tensors.values()):
            return False
        if slot == "pool" and not (pool := pooling(node, stage.shape)).is_plain:
            return False
        self.attach(place, node, number, slot)
        if slot == "pool":
            stage.pooled = pool
        return True

    def attach(self, place: int, node: Node, number: int, slot: str) -> None:
        self.stages[number].tail[slot] = node
        self.at[place] = number
        if place in self.masks:
            self.stages[number].masks[slot] = self.masks[place]

    def start(self, place: int, node: Node) -> None:
        """Begin a stage with the node."""
        numbers = [self.at[one] for one in node.inputs]
        if node.kind not in ("linear", "dropout", *ACTIVATIONS):  # the others see a map's order alone
            shapes = [form(self.graph.nodes[one].shape) for one in node.inputs]
            numbers = [self.shaped(number, shape) for number, shape in zip(numbers, shapes, strict=True)]
        if node.kind == "convolution":
            numbers = [self.padded(node, numbers[0])]
        if node.kind in ("add", "multiply"):  # a gate comes second
            numbers.sort(key=lambda number: -prod(self.shape(number)))
        sources = [self.shape(number) for number in numbers]
        if node.kind in OPERATIONS or node.kind in POOLS:
            window = pooling(node, sources[0]) if node.kind in POOLS else None
            self.at[place] = self.append(Stage(node.kind, numbers, sources, form(node.shape), node, window))
            if place in self.masks:
                self.stages[-1].masks[""] = self.masks[place]
            return
        number = numbers[0]
        if number == self.at[node.inputs[0]]:
            number = self.append(Stage("copy", numbers, sources, sources[0]))
        self.attach(place, node, number, _slot(node, self.stages[number]))

    def append(self, stage: Stage) -> int:
        self.stages.append(stage)
        return len(self.stages) - 1

    def shape(self, number: int) -> Shape:
        return form(self.graph.nodes[0].shape) if number == IMAGES else self.stages[number].shape

    def shaped(self, number: int, shape: Shape) -> int:
        """Return a stage that gives the value in that shape."""
        found = self.shape(number)
        return number if found == shape else self.append(Stage("reshape", [number], [found], shape))

    def padded(self, node: Node, number: int) -> int:
        """Return a stage that gives the input with the padding that is more than the convolution's own."""
        top, bottom, left, right = margins(node).more
        if not any((top, bottom, left, right)):
            return number
        channels, height, width = found = self.shape(number)
        made = (channels, height + top + bottom, width + left + right)
        return self.append(Stage("pad", [number], [found], made, margin=(top, left)))


def _slot(node: Node, stage: Stage) -> str:
    if node.kind == "dropout":
        return "outer_dropout" if "pool" in stage.tail else "inner_dropout"
    return {"batch_norm": "norm", **dict.fromkeys(POOLS, "pool")}.get(node.kind, "activation")
