"""A network as one ONNX file in float32: a node of the graph becomes an operator, or a few.

The operators are those of https://onnx.ai/onnx/operators, opset 20.
"""

import json
from typing import Any

import numpy as np

from lenette.errors import LenetteError
from lenette.exports.onnx_kinds import KINDS, Unsupported
from lenette.exports.trained import Trained
from lenette.models.graph import Node

OPSET = 20
IR_VERSION = 9  # the one of opset 20: what an older reader knows too


def contents(trained: Trained, normalised: bool = False) -> dict[str, bytes]:
    """Return the file NAME.onnx: images in, `logits` and `probabilities` float32 [N, classes] out; N is free.

    Args:
        normalised: whether the input is float32, with mean and std taken off, rather than uint8.

    Raises:
        LenetteError: something in the network has no form in ONNX; it is named, with the line where it is written.
    """
    return {f"{trained.name}.onnx": model(trained, normalised).SerializeToString(deterministic=True)}


def model(trained: Trained, normalised: bool = False) -> Any:
    """Return the checked onnx.ModelProto; see `contents`."""
    try:
        from onnx import TensorProto, helper
    except ImportError as error:
        raise LenetteError("ONNX needs the package onnx: pip install onnx") from error
    state = {name: value.float().numpy() for name, value in trained.state.items() if value.is_floating_point()}
    writer = Writer(state)
    kind = TensorProto.FLOAT if normalised else TensorProto.UINT8
    images = helper.make_tensor_value_info("images", kind, ["N", *trained.network.shape])
    values = {0: "images" if normalised else writer.normalised("images", trained.network.mean, trained.network.std)}
    for place in trained.graph.used:
        node = trained.graph.nodes[place]
        if node.kind != "input":
            values[place] = writer.node(node, [trained.graph.nodes[one] for one in node.inputs], values)
    writer.operator("Identity", values[trained.graph.output], output="logits")
    writer.operator("Softmax", "logits", output="probabilities", axis=1)
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", len(trained.network.classes)])
        for name in ("logits", "probabilities")
    ]
    made = helper.make_graph(writer.operators, trained.recipe.name, [images], outputs, list(writer.constants.values()))
    return finished(made, trained)


def finished(made: Any, trained: Trained) -> Any:
    """Return the checked model of a graph, with what is known of the network."""
    import onnx
    from onnx import helper

    found = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="lenette"
    )
    found.doc_string = "\n".join(trained.evidence)
    about = {name: one if isinstance(one, str) else json.dumps(one) for name, one in trained.about.items()}
    helper.set_model_props(found, about)
    onnx.checker.check_model(found, full_check=True)
    return found


class Writer:
    """Operators and constants, as they come."""

    def __init__(self, state: dict[str, np.ndarray]) -> None:
        self.state = state
        self.operators: list[Any] = []
        self.constants: dict[str, Any] = {}

    def operator(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add an operator; return its output's name."""
        from onnx import helper

        output = output or f"{kind.lower()}_{len(self.operators)}"
        self.operators.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def constant(self, value: Any, name: str = "") -> str:
        """Add a constant; return its name. Numbers are float32, whole numbers int64."""
        from onnx import numpy_helper

        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        name = name or f"constant_{len(self.constants)}"
        self.constants.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def tensor(self, node: Node, role: str, shape: tuple[int, ...] | None = None) -> str:
        """Return the name of a node's own weights or buffer, reshaped where a shape is given; "" where it has none."""
        if role not in node.tensors:
            return ""
        name = node.tensors[role]
        value = self.state[name]
        return self.constant(value, name) if shape is None else self.constant(value.reshape(shape), f"{name}.{role}")

    def normalised(self, images: str, mean: Any, std: Any) -> str:
        """Add what the network's own images become: (pixel / 255 - mean) / std, in the order of `inference.logits`."""
        pixels = self.operator("Div", self.operator("Cast", images, to=1), self.constant(255.0))
        mean, std = (self.constant(np.array(one, np.float32)[:, None, None]) for one in (mean, std))
        return self.operator("Div", self.operator("Sub", pixels, mean), std)

    def node(self, node: Node, sources: list[Node], values: dict[int, str]) -> str:
        """Add what a node of the graph does; return its output's name."""
        try:
            if node.kind not in KINDS:
                raise Unsupported("no operator of ONNX's is known for it")
            return KINDS[node.kind](self, node, sources, [values[place] for place in node.inputs])
        except Unsupported as reason:
            where = f" at {node.line}" if node.line else ""
            raise Unsupported(
                f"'{node.name}' ({node.layer or node.kind}){where} can't be put into ONNX: {reason}"
            ) from None
