"""A network as a plain Python file, and its weights beside it: they load with torch alone."""

import io
import re
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch

from lenette.exports.templates import render
from lenette.exports.trained import Trained
from lenette.models.graph import Graph, Node
from lenette.models.kinds import KINDS

LAYERS = {kind.name: kind for kind in KINDS if kind.layers}
OPERATIONS = {"add": "{0} + {1}", "multiply": "{0} * {1}"}


def contents(trained: Trained) -> dict[str, bytes]:
    """Return the files NAME.py and NAME.pt, its state_dict."""
    name = re.sub(r"\W", "_", trained.name)
    code = Code(trained.graph, trained.state)
    stream = io.BytesIO()
    torch.save(code.state, stream)
    return {f"{name}.py": text(trained, code, f"{name}.pt").encode(), f"{name}.pt": stream.getvalue()}


def text(trained: Trained, code: "Code", weights: str) -> str:
    """Return the Python file of a network whose weights lie in the file `weights` beside it."""
    return render("network.py.jinja", about=trained.about, evidence=trained.evidence, code=code, weights=weights)


class Code:
    """A graph as Python: `layers` (name and constructor), `steps` (lines of forward), `state` (weights by name)."""

    def __init__(self, graph: Graph, weights: Mapping[str, torch.Tensor]) -> None:
        self.graph, self.weights = graph, weights
        self.layers: dict[str, str] = {}
        self.steps: list[tuple[str, str]] = []
        self.state: dict[str, torch.Tensor] = {}
        self.known: dict[Any, str] = {}  # layers by what they are, so that one used twice is one
        used = graph.used
        readers = Counter(place for one in used for place in graph.nodes[one].inputs)
        following = dict(pairwise(used))
        self.names = {
            place: "x"
            if place == graph.output or (readers[place] == 1 and place in graph.nodes[following[place]].inputs)
            else f"x{place}"
            for place in used
        }
        for place in used:
            node = graph.nodes[place]
            if node.kind != "input":
                size = ", ".join(map(str, node.shape))
                inputs = [self.names[one] for one in node.inputs]
                self.steps.append((f"{self.names[place]} = {self.expression(node, inputs)}", f"[{size}]"))
        self.input = self.names[used[0]]

    def expression(self, node: Node, inputs: list[str]) -> str:
        """Return what a node computes of the variables that hold its inputs."""
        match node.kind:
            case "add" | "multiply":
                return OPERATIONS[node.kind].format(*inputs)
            case "affine":
                factor, offset = node.options["factor"], node.options["offset"]
                scaled = inputs[0] if factor == 1 else f"{inputs[0]} * {factor!r}"
                return f"{scaled} + {offset!r}" if offset else scaled
            case "concatenate":
                return f"torch.cat([{', '.join(inputs)}], dim=1)"
            case "reshape":
                return f"{inputs[0]}.reshape(-1, {', '.join(map(str, node.shape))})"
            case "dropout" | "dropout2d" if node.options["always"]:
                return f"nn.functional.{node.kind}({inputs[0]}, {node.options['p']!r})"
        call = f"self.{self.layer(node)}({inputs[0]})"
        pooled = node.kind == "adaptive_average_pool" and len(node.shape) == 1
        return f"{call}.flatten(1)" if pooled else call

    def layer(self, node: Node) -> str:
        """Return the name of a node's layer, made if it is new."""
        made = self.constructor(node)
        key = (made, node.name if node.layer else "", tuple(sorted(node.tensors.items())))
        if key in self.known:
            return self.known[key]
        stem = re.sub(r"\W", "_", node.name if node.layer else node.kind).strip("_")
        stem = stem if stem.isidentifier() else f"layer_{stem}"
        name = stem if stem not in self.layers else f"{stem}_{len(self.layers)}"
        self.known[key], self.layers[name] = name, made
        for role, tensor in node.tensors.items():
            if not (role.startswith("running") and node.options.get("always")):
                self.state[f"{name}.{role}"] = self.weights[tensor].clone()
        if node.kind == "batch_norm" and not node.options["always"]:
            self.state[f"{name}.num_batches_tracked"] = torch.tensor(0)
        return name

    def constructor(self, node: Node) -> str:
        """Return the torch layer that does what a node does, as code."""
        kind = LAYERS[node.kind]
        layer = next((one for one in kind.layers if one.__name__ == node.layer), kind.layers[0])
        name = layer.__name__
        if node.kind == "batch_norm":
            name = "BatchNorm2d" if len(node.shape) == 3 else "BatchNorm1d"
        options = {key: value if key == "normalized_shape" else _one(value) for key, value in node.options.items()}
        options.pop("always", None)
        first, more = self.sizes(node)
        for key in ("kernel_size", "output_size", "normalized_shape", "num_groups"):
            if key in options:
                first.append(repr(options.pop(key)))
        if node.kind == "group_norm":
            first.append(str(node.shape[0]))
        given = {key: value for key, value in options.items() if value != kind.defaults.get(key)}
        words = [f"{key}={value!r}" for key, value in (given | more).items()]
        return f"nn.{name}({', '.join(first + words)})"

    def sizes(self, node: Node) -> tuple[list[str], dict[str, Any]]:
        """Return a layer's first arguments, and what it must be told of the weights that it has."""
        shapes = {role: tuple(self.weights[name].shape) for role, name in node.tensors.items()}
        bias = {} if "bias" in shapes else {"bias": False}
        match node.kind:
            case "convolution":
                out, channels = shapes["weight"][:2]
                return [str(channels * node.options["groups"]), str(out)], bias
            case "linear":
                return [str(shapes["weight"][1]), str(shapes["weight"][0])], bias
            case "prelu":
                return [str(shapes["weight"][0])], {}
            case "batch_norm":
                tracked = {"track_running_stats": False} if node.options["always"] else {}
                return [str(node.shape[0])], ({} if "weight" in shapes else {"affine": False}) | tracked
        if "weight" in shapes or node.kind not in ("layer_norm", "group_norm"):
            return [], bias if node.kind == "layer_norm" else {}
        return [], {"elementwise_affine" if node.kind == "layer_norm" else "affine": False}


def _one(value: Any) -> Any:
    """Return an option as plainly as it can be written: a pair of equal numbers as one."""
    if isinstance(value, list | tuple):
        return value[0] if len(value) == 2 and value[0] == value[1] else tuple(value)
    return value
