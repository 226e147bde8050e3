from torch import nn


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters, those of layers that forward never uses included."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def summary(model, input_shape):
    raise NotImplementedError


def format_summary(table):
    raise NotImplementedError
