"""An integer network as C99: one .h and one .c, and a main.c and Makefile that prove them on the host."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lenette.errors import LenetteError, ModelError
from lenette.exports import folder
from lenette.exports.c.plan import Plan, plan
from lenette.exports.templates import render
from lenette.integer import interpreter
from lenette.integer.network import (
    Add,
    Clamp,
    Concatenate,
    Convolution,
    Input,
    IntegerNetwork,
    Multiply,
    Node,
    Pool,
    Reshape,
    Table,
)

KINDS = {
    Input: "INPUT",
    Convolution: "CONVOLUTION",
    Add: "ADD",
    Multiply: "MULTIPLY",
    Clamp: "CLAMP",
    Table: "TABLE",
    Concatenate: "CONCATENATE",
    Reshape: "RESHAPE",
}
NUM_IMAGES = 16  # that main.c is proven on


def write(network: IntegerNetwork, place: Path, prefix: str = "lenette") -> list[Path]:
    """Write the files of `contents` into a folder, as `folder.write` does."""
    return folder.write(place, contents(network, prefix))


def contents(network: IntegerNetwork, prefix: str = "lenette") -> dict[str, bytes]:
    """Return PREFIX.h, PREFIX.c, main.c, a Makefile, and images with their logits for its `make test`, by name.

    Raises:
        LenetteError: the prefix is no name in C, or is "main".
        ModelError: the network has more than 255 nodes or a side beyond 65,535.
    """
    if prefix == "main":
        raise LenetteError("prefix 'main' would put the network in the place of main.c: take another")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,40}", prefix):
        raise LenetteError(f"prefix '{prefix}' is no name in C: letters, digits and _, a letter first")
    if len(network.nodes) > 255 or max(max(node.shape) for node in network.nodes) > 65535:
        raise ModelError("the network is too large for C: more than 255 nodes or 65,535 channels")
    about = _described(network, prefix)
    names = {
        f"{prefix}.h": "c/network.h.jinja",
        f"{prefix}.c": "c/network.c.jinja",
        "main.c": "c/main.c.jinja",
        "Makefile": "c/Makefile.jinja",
    }
    images = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, *network.nodes[0].shape), np.uint8)
    lines = [" ".join(map(str, row)) + "\n" for row in interpreter.logits(network, images).tolist()]
    return {
        **{name: render(template, trim=False, **about).encode() for name, template in names.items()},
        "images.bin": images.transpose(0, 2, 3, 1).tobytes(),
        "logits.txt": "".join(lines).encode(),
    }


@dataclass
class _Array:
    type: str
    name: str
    text: str


@dataclass
class _Arrays:
    """The arrays of constants, equal ones written once."""

    found: dict[tuple[str, str], _Array] = field(default_factory=dict)

    def add(self, kind: str, name: str, values: np.ndarray | list[int]) -> str:
        rows = [str(value) for value in np.asarray(values).reshape(-1).tolist()]
        lines = [", ".join(rows[start : start + 24]) for start in range(0, len(rows), 24)]
        text = ",\n    ".join(lines)
        return self.found.setdefault((kind, text), _Array(kind, name, "\n    " + text + "\n")).name


def _described(network: IntegerNetwork, prefix: str) -> dict[str, object]:
    arrays, places = _Arrays(), plan(network)
    inputs = [one for node in network.nodes for one in node.inputs] or [0]
    listed, first = [], 0
    arrays.add("uint8_t", "inputs", inputs)
    for at, node in enumerate(network.nodes):
        listed.append(_row(at, node, places, arrays, first))
        first += len(node.inputs)
    kinds = sorted(
        {_kind(node) for node in network.nodes} | {"CONCATENATE", "ADD", "MULTIPLY", "TABLE"} & _joining(network)
    )
    return {
        "prefix": prefix, "PREFIX": prefix.upper(), "image": network.nodes[0].shape, "classes": len(network.classes),
        "memory": places.size, "arrays": list(arrays.found.values()), "layers": listed, "kinds": kinds,
    }  # fmt: skip


def _joining(network: IntegerNetwork) -> set[str]:
    """Return the kinds that one function of C computes, where the network has any of them."""
    joining = {"CONCATENATE", "ADD", "MULTIPLY", "TABLE", "CLAMP"}
    return joining if joining & {_kind(node) for node in network.nodes} else set()


def _kind(node: Node) -> str:
    if isinstance(node, Pool):
        return "MAXIMUM" if node.maximum else "MEAN"
    return KINDS[type(node)]


def _row(at: int, node: Node, places: Plan, arrays: _Arrays, first: int) -> str:
    """Return a node as the initialiser of its `layer`."""
    channels, height, width = node.shape
    low, high = getattr(node, "low", node.format.low), getattr(node, "high", node.format.high)
    fields = {
        "kind": _kind(node), "channels": channels, "height": height, "width": width, "ring": max(places.rows[at], 1),
        "offset": places.offsets[at], "zero": node.format.zero, "low": low, "high": high,
        "wide": int(node.format.wide), "whole": int(places.whole[at]), "num_inputs": len(node.inputs),
        "first_input": first if node.inputs else 0,
    }  # fmt: skip
    match node:
        case Convolution():
            fields |= {
                "weight": arrays.add("int8_t", f"weight_{at}", node.weight.transpose(0, 2, 3, 1)),
                "bias": arrays.add("int32_t", f"bias_{at}", node.bias),
                "multiplier": arrays.add("uint16_t", f"multiplier_{at}", node.multiplier),
                "shift": arrays.add("uint8_t", f"shift_{at}", node.shift),
                "groups": node.groups, "num_read": node.weight.shape[1],
                "kernel": _pair(node.weight.shape[2:]), "stride": _pair(node.stride),
                "dilation": _pair(node.dilation), "padding": _pair((node.padding[0], node.padding[2])),
            }  # fmt: skip
            if any(node.padding):
                fields["border"] = arrays.add("uint8_t", f"border_{at}", node.border)
        case Pool():
            fields |= {
                name: arrays.add("uint16_t", f"{name}_{at}", getattr(node, name)) for name in ("rows", "columns")
            }
        case Add():
            fields["bias"] = arrays.add("int32_t", f"factors_{at}", list(node.factors))
            fields["shift"] = arrays.add("uint8_t", f"shift_{at}", [node.shift])
        case Multiply():
            fields["multiplier"] = arrays.add("uint16_t", f"multiplier_{at}", [node.multiplier])
            fields["shift"] = arrays.add("uint8_t", f"shift_{at}", [node.shift])
        case Table():
            fields["bias"] = arrays.add("int32_t", f"table_{at}", node.table)
    return ", ".join(f".{name} = {value}" for name, value in fields.items())


def _pair(values: tuple[int, ...]) -> str:
    return "{" + ", ".join(map(str, values)) + "}"
