import pytest
import torch
from torch.nn.functional import cross_entropy

from lenette.errors import LenetteError, ModelError
from lenette.lessons import backprop_mlp
from lenette.models import build


@pytest.fixture
def model():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build("sigmoid_mlp", image_size=8)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(32, 1, 8, 8, generator=generator), torch.randint(10, (32,), generator=generator)


def test_each_derivative_is_autograds(model, batch):
    values, checked = backprop_mlp.by_hand(model, *batch), backprop_mlp.by_autograd(model, *batch)
    assert list(values) == list(backprop_mlp.FORMULAS)
    assert list(checked) == list(backprop_mlp.DERIVATIVES)
    for name, derivative in checked.items():
        torch.testing.assert_close(values[name], derivative, rtol=1e-12, atol=1e-15)


def test_the_gradient_is_the_one_that_training_uses(model, batch):
    images, labels = batch
    loss = cross_entropy(model(images), labels)
    loss.backward()
    values = backprop_mlp.by_hand(model, images, labels)
    assert values["L"].item() == pytest.approx(loss.item(), rel=1e-6)
    names = ("dL/dW1", "dL/db1", "dL/dW2", "dL/db2")
    for name, parameter in zip(names, model.parameters(), strict=True):
        torch.testing.assert_close(values[name].float(), parameter.grad, rtol=1e-4, atol=1e-7)


def test_the_model_is_left_as_it_was(model, batch):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    backprop_mlp.walkthrough(model, *batch)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None and parameter.dtype == torch.float32 for parameter in model.parameters())


def test_large_logits_overflow_nowhere(model, batch):
    images, labels = batch
    values, checked = (
        backprop_mlp.by_hand(model, images * 1e6, labels),
        backprop_mlp.by_autograd(model, images * 1e6, labels),
    )
    with torch.no_grad():
        model[3].weight.mul_(1e5)
    extreme = backprop_mlp.by_hand(model, images, labels)
    assert all(torch.isfinite(value).all() for value in (*values.values(), *extreme.values()))
    torch.testing.assert_close(values["dL/dW1"], checked["dL/dW1"], rtol=1e-9, atol=1e-12)


def test_the_walkthrough_shows_shapes_and_differences(model, batch):
    text = backprop_mlp.walkthrough(model, *batch)
    rows = {line.split(" = ")[0].strip(): line.split() for line in text.splitlines() if " = " in line}
    assert rows["dL/dW1"][-5:-2] == ["100", "x", "64"]
    assert all(0 <= float(rows[name][-1]) < 1e-14 for name in backprop_mlp.DERIVATIVES)
    assert text.isascii()
    assert max(len(line) for line in text.splitlines()) <= 120


def test_another_network_is_refused(batch):
    with pytest.raises(ModelError, match="not a network of Conv2d"):
        backprop_mlp.by_hand(build("lenet5"), *batch)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (torch.zeros(2, 1, 28, 28), torch.tensor([0, 1]), "have 784 pixels; the network was built for 64"),
        (torch.zeros(2, 1, 8, 8), torch.tensor([0]), "2 images need as many labels"),
        (torch.zeros(0, 1, 8, 8), torch.zeros(0, dtype=torch.int64), "at least one"),
        (torch.zeros(2, 1, 8, 8), torch.tensor([3, 10]), "from 0 to 9; found 3 to 10"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(model, images, labels, message):
    with pytest.raises(LenetteError, match=message):
        backprop_mlp.by_hand(model, images, labels)
