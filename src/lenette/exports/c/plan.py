"""Where the rows of each value lie in memory: the schedule by which C computes rows, played through beforehand.

A node makes its next row as soon as the rows that it reads are there, the last such node first. So only the rows that
are still to be read are kept, in a ring; rings that are never alive together share memory.
"""

from dataclasses import dataclass

from lenette.integer.network import Convolution, Input, IntegerNetwork, Node, Pool, Reshape


@dataclass(frozen=True)
class Plan:
    """For each node the number of rows in its ring, the ring's place in memory in bytes, and whether the node waits for
    all rows that it reads; `size` is that of the memory."""

    rows: tuple[int, ...]
    offsets: tuple[int, ...]
    whole: tuple[bool, ...]
    size: int


def plan(network: IntegerNetwork) -> Plan:
    """Return the plan that wants the least memory, trying one node after the other as one that waits for all rows."""
    nodes = network.nodes
    whole = [isinstance(node, Reshape) for node in nodes]
    best = _played(nodes, whole)
    for place in range(1, len(nodes)):
        if not whole[place]:
            whole[place] = True
            other = _played(nodes, whole)
            if other.size < best.size:
                best = other
            else:
                whole[place] = False
    return best


def needed(node: Node, source: Node, row: int, whole: bool) -> tuple[int, int]:
    """Return which of a source's rows a node's row reads: the first, and the one after the last."""
    height = source.shape[1]
    if whole or (height == 1 and node.shape[1] > 1):
        return 0, height
    first, after = row, row + 1
    if isinstance(node, Convolution):
        first = row * node.stride[0] - node.padding[0]
        after = first + (node.weight.shape[2] - 1) * node.dilation[0] + 1
    elif isinstance(node, Pool):
        first, after = node.rows[row].start, node.rows[row].start + node.rows[row].taps
    return min(max(first, 0), height), min(max(after, 0), height)


def _played(nodes: tuple[Node, ...], whole: list[bool]) -> Plan:
    readers = [[at for at, node in enumerate(nodes) if place in node.inputs] for place in range(len(nodes))]
    done = [node.shape[1] if isinstance(node, Input) else 0 for node in nodes]
    rows, alive = [0] * len(nodes), [0] * len(nodes)

    def oldest(place: int) -> int:
        """The first row that is still to be read."""
        height = nodes[place].shape[1]
        if not readers[place]:
            return 0
        return min(
            needed(nodes[at], nodes[place], done[at], whole[at])[0] if done[at] < nodes[at].shape[1] else height
            for at in readers[place]
        )

    step = 1
    while done[-1] < nodes[-1].shape[1]:
        place = next(at for at in range(len(nodes) - 1, 0, -1) if _ready(nodes, at, done, whole))
        before = [one for one in range(1, len(nodes)) if done[one] > oldest(one)]
        done[place] += 1
        for one in range(1, len(nodes)):
            kept = done[one] - (oldest(one) if one != place else min(oldest(one), done[one] - 1))
            rows[one] = max(rows[one], kept)
            if one in before or one == place:
                alive[one] |= step
        step <<= 1
    sizes = [
        count * node.shape[0] * node.shape[2] * (2 if node.format.wide else 1)
        for count, node in zip(rows, nodes, strict=True)
    ]
    offsets = _placed(sizes, alive)
    size = max(offset + size for offset, size in zip(offsets, sizes, strict=True))
    return Plan(tuple(rows), tuple(offsets), tuple(whole), size + size % 2)


def _ready(nodes: tuple[Node, ...], at: int, done: list[int], whole: list[bool]) -> bool:
    node = nodes[at]
    return done[at] < node.shape[1] and all(
        needed(node, nodes[source], done[at], whole[at])[1] <= done[source] for source in node.inputs
    )


def _placed(sizes: list[int], alive: list[int]) -> list[int]:
    """Return where each ring lies, the largest first, each at the lowest place that is free while it is alive."""
    offsets = [0] * len(sizes)
    placed: list[int] = []
    for one in sorted(range(len(sizes)), key=lambda one: -sizes[one]):
        others = sorted(
            (offsets[other], offsets[other] + sizes[other]) for other in placed if alive[one] & alive[other]
        )
        at = 0
        for start, end in others:
            if at + sizes[one] <= start:
                break
            at = max(at, end + end % 2)
        offsets[one] = at
        placed.append(one)
    return offsets
