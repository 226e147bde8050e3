"""How fast this machine could be: the roofline of a network (Williams, Waterman and Patterson, "Roofline", 2009).

It is the least time by which both all multiply-adds could be done at the peak measured here, and all maps that the
native engine keeps could pass between memory and registers as often as its passes need, at the bandwidth measured here
for as many bytes.
"""

import ctypes
import time
from math import prod

import torch
from torch import nn

from lenette.engines.native import compiler
from lenette.engines.native.stages import read
from lenette.models.graph import graph

# As many independent multiply-adds as hide each other's latency, none of which touches memory.
PEAK = """
#include "threads.hpp"
#include "tiles.hpp"
using namespace lenette;
extern "C" void multiply_add(int threads, long rounds, Scalar* result) {
    in_parallel(threads, [&](int part) {
        Vector sum[16], a = Vector{} + Scalar(0.5), b = a;
        LENETTE_UNROLL
        for (int k = 0; k < 16; ++k) sum[k] = a * Scalar(k);  // equal sums would be taken once
        for (long i = 0; i < rounds; ++i) {
            asm volatile("" : "+m"(a), "+m"(b));
            LENETTE_UNROLL
            for (int k = 0; k < 16; ++k) sum[k] += a * b;
        }
        Vector all{};
        LENETTE_UNROLL
        for (int k = 0; k < 16; ++k) all += sum[k];
        result[part] = all[0];
    });
}
extern "C" void copy(int threads, long rounds, long vectors, Vector* from, Vector* to) {
    in_parallel(threads, [&](int part) {
        const long begin = vectors * part / threads, end = vectors * (part + 1) / threads;
        for (long round = 0; round < rounds; ++round)
            for (long i = begin; i < end; ++i) to[i] = from[i] + Scalar(1);
    });
}
extern "C" int lanes() { return kLanes; }
"""
# Forward, a map is written and read; backward, it is read for its activation, for its normalisation and for the next
# weights' gradient, and its own gradient is written and read.
PASSES = 7


def peak_flops(threads: int) -> float:
    """Return the multiply-adds that the machine can do, counted as two operations, a second."""
    library = compiler.compile_library(PEAK)
    rounds, result = 1_000_000, (ctypes.c_float * threads)()

    def seconds() -> float:
        start = time.perf_counter()
        library.multiply_add(threads, ctypes.c_long(rounds), result)
        return time.perf_counter() - start

    return threads * rounds * 16 * library.lanes() * 2 / min(seconds() for _ in range(50))


def copied_bytes(threads: int, megabytes: float) -> float:
    """Return how many bytes can be read and written a second, all over that much memory again and again."""
    library = compiler.compile_library(PEAK)
    size = int(megabytes * 1e6 / 2) // 64 * 64
    from_, to = (torch.zeros(size // 4 + 16) for _ in range(2))
    places = [ctypes.c_void_p(-(-tensor.data_ptr() // 64) * 64) for tensor in (from_, to)]
    rounds = max(1, int(2e8 / size))

    def seconds() -> float:
        start = time.perf_counter()
        library.copy(threads, ctypes.c_long(rounds), ctypes.c_long(size // 4 // library.lanes()), *places)
        return time.perf_counter() - start

    return rounds * 2 * size / min(seconds() for _ in range(5))


def image_flops(model: nn.Module, shape: tuple[int, int, int]) -> int:
    """Return the multiply-adds, counted as two operations, of one image in a training step."""
    nodes, flops = graph(model, shape).nodes, 0
    for node in nodes:
        if node.kind in ("convolution", "linear"):
            source = nodes[node.inputs[0]]
            while source.kind == "reshape":
                source = nodes[source.inputs[0]]
            # forward, weight gradient, and input gradient for all but the first
            passes = 2 if source.kind == "input" else 3
            flops += 2 * passes * prod(node.shape[1:]) * model.get_parameter(node.tensors["weight"]).numel()
    return flops


def image_bytes(model: nn.Module, shape: tuple[int, int, int]) -> int:
    """Return the bytes of an image's maps, each once."""
    return 4 * sum(prod(stage.made) for stage in read(model, shape).stages)


def seconds(model: nn.Module, shape: tuple[int, int, int], batch_size: int, peak: float, threads: int) -> float:
    """Return the least seconds that an image takes in training."""
    maps = image_bytes(model, shape)
    kept = 2 * maps * batch_size / 1e6  # maps and their gradients, of a batch
    return max(image_flops(model, shape) / peak, PASSES * maps / copied_bytes(threads, kept))
