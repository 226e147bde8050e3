"""Each activation and its gradient in float32, as near to float64 as torch's."""

import ctypes

import pytest
import torch
from torch import nn

from lenette.engines.native import compiler

ACTIVATIONS = {
    "Relu6{}": nn.ReLU6(),
    "LeakyRelu{Scalar(0.2)}": nn.LeakyReLU(0.2),
    "Elu{Scalar(0.7)}": nn.ELU(0.7),
    "Silu{}": nn.SiLU(),
    "Gelu{}": nn.GELU(),
    "GeluTanh{}": nn.GELU("tanh"),
    "Hardswish{}": nn.Hardswish(),
    "Hardsigmoid{}": nn.Hardsigmoid(),
    "Tanh{}": nn.Tanh(),
    "Sigmoid{}": nn.Sigmoid(),
    "Softplus{Scalar(0.5), Scalar(20)}": nn.Softplus(0.5, 20),
    "Relu{}": nn.ReLU(),
}
SOURCE = """
#include "activation.hpp"
using namespace lenette;

extern "C" void apply(const Scalar* z, int count, Scalar* values, Scalar* slopes) {
    const auto activation = ACTIVATION;
    for (int i = 0; i < count; i += kLanes) {
        const Vector v = activation(load(z + i)), slope = activation.gradient(load(z + i), Vector{} + 1);
        std::memcpy(values + i, &v, sizeof v);
        std::memcpy(slopes + i, &slope, sizeof slope);
    }
}
"""


def applied(cpp, z, scalar):
    library = compiler.compile_library(SOURCE.replace("ACTIVATION", cpp), scalar)
    z = z.to({"float": torch.float32, "double": torch.float64}[scalar])
    values, slopes = torch.empty_like(z), torch.empty_like(z)
    library.apply(
        *(ctypes.c_void_p(z.data_ptr()), ctypes.c_int(len(z))),
        *(ctypes.c_void_p(values.data_ptr()), ctypes.c_void_p(slopes.data_ptr())),
    )
    return values, slopes


def torchs(layer, z):
    z = z.clone().requires_grad_()
    values = layer(z)
    return values.detach(), torch.autograd.grad(values.sum(), z)[0]


def numbers():
    """Return values float32 of every size up to 80, without the corners at 0, 3, 6."""
    near = torch.logspace(-6, 0, 2048)
    return torch.cat([torch.linspace(-80, 79.9, 4096), torch.linspace(-7.01, 7.02, 8192), near, -near])


@pytest.mark.parametrize("cpp", ACTIVATIONS)
def test_in_float64(cpp):
    z = numbers().double()
    tolerance = 1e-7 if cpp == "Hardsigmoid{}" else 1e-13  # torch divides by 6 in float32
    for ours, theirs in zip(applied(cpp, z, "double"), torchs(ACTIVATIONS[cpp], z), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("cpp", ACTIVATIONS)
def test_in_float32(cpp):
    z, layer = numbers(), ACTIVATIONS[cpp]
    exact = torchs(layer, z.double())
    for ours, theirs, wanted in zip(applied(cpp, z, "float"), torchs(layer, z), exact, strict=True):
        errors = [(found.double() - wanted).abs() / wanted.abs().clamp(min=0.01) for found in (ours, theirs)]
        mine, torch_s = (float(error.max()) * 2**24 for error in errors)
        assert mine <= max(2 * torch_s, 8), (mine, torch_s)  # in units of the last place; small values count as 0.01


@pytest.mark.parametrize("cpp", ACTIVATIONS)
def test_what_is_not_a_number_stays_so(cpp):
    assert applied(cpp, torch.full((64,), torch.nan), "float")[0].isnan().all()
