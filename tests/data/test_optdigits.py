import numpy as np
import torch

from lenette.data import load, optdigits


def test_parts_are_stratified_and_apart():
    train, test = load("optdigits"), load("optdigits", "test")
    assert (len(train), len(test)) == (1497, 300)
    assert train.images.shape[1:] == (1, 28, 28)
    counts = train.labels.bincount() + test.labels.bincount()
    assert ((test.labels.bincount() / counts - 1 / 6).abs() < 0.01).all()
    assert (train.mean, train.std) == (test.mean, test.std)


def test_enlarging_is_bilinear():
    from sklearn.datasets import load_digits

    images, labels, rows = optdigits.read()
    small = torch.from_numpy(load_digits().images)[:, None] * (255 / 16)
    expected = torch.nn.functional.interpolate(small, size=(28, 28), mode="bilinear", align_corners=False)[:, 0]
    assert np.abs(images - expected.numpy()).max() < 0.5001
    assert len(labels) == 1797
    assert sorted(np.concatenate(list(rows.values()))) == list(range(1797))
