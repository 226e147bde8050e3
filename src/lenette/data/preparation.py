"""How the images of a data set were made, so that any picture can be made ready as they were."""

from typing import Literal

import numpy as np

from lenette.data.pictures import Fit
from lenette.records import Count, Record


class Preparation(Record, frozen=True):
    """How a picture becomes an image as those of a training set are; `prepare.ready` does it.

    "strokes" (MNIST): the ink is cut out, brought to a box of `box` pixels on its longer side, and centred, by its mass
    or by its box, light on black. "object" (Fashion-MNIST): the same with the object's own greys. "pictures": the whole
    picture as it is, brought to a square where `image_size` is not 0 or its size is another (see `pictures.fitted`).
    """

    kind: Literal["strokes", "object", "pictures"] = "pictures"
    box: Count = 0
    centre: Literal["mass", "box"] = "mass"
    image_size: Count = 0
    fit: Fit = "pad"

    @property
    def words(self) -> str:
        """What is done, in a sentence's end."""
        if self.kind == "pictures":
            how = {"pad": "padded with the colour of its edge", "crop": "its middle cut out", "squash": "squashed"}
            return f"the whole picture as it is, or brought to size, {how[self.fit]}"
        what = "its ink" if self.kind == "strokes" else "its object, with its own greys,"
        return f"{what} cut out, brought to a box of {self.box} pixels and centred by its {self.centre}, light on black"


AS_IT_IS = Preparation()
MNIST = Preparation("strokes", 20, "mass")
# EMNIST (Cohen et al. 2017, section II.A) centres the box itself, with 2 pixels around it; Fashion-MNIST (Xiao et al.
# 2017, section 2) and KMNIST (Clanuwat et al. 2018, appendix A) fit the longest side of the whole picture to 28.
PUBLISHED = {
    "mnist": MNIST,
    "qmnist": MNIST,
    "optdigits": Preparation("strokes", 28, "box"),
    "fashion_mnist": Preparation("object", 28, "box"),
    "kmnist": Preparation("object", 28, "box"),
}
EMNIST = Preparation("strokes", 24, "box")


def published(name: str) -> Preparation:
    """Return how the images of a data set of the catalogue were made."""
    return EMNIST if name.startswith("emnist") else PUBLISHED[name]


def measured(images: np.ndarray) -> Preparation:
    """Return how images uint8 [N, C, H, W] of an unknown source were made: as MNIST's, or whole pictures.

    They are as MNIST's where, of 1,000 spread over the set, all but a hundredth are grey 28x28 on pure black, with the
    longer side of the ink at most 20 pixels and the centre of mass within a pixel of the middle (14, 14).
    """
    if images.shape[1:] != (1, 28, 28):
        return Preparation()
    sample = images[np.linspace(0, len(images) - 1, min(len(images), 1000)).astype(np.int64), 0].astype(np.float64)
    made_so = np.ones(len(sample), dtype=bool)
    mass = np.maximum(sample.sum((1, 2)), 1)
    for axis in (1, 2):
        profile = sample.sum(axis)
        inked = profile > 0
        side = inked.shape[1] - np.argmax(inked[:, ::-1], 1) - np.argmax(inked, 1)
        made_so &= inked.any(1) & (side <= MNIST.box) & (np.abs(profile @ np.arange(28) / mass - 14) <= 1)
    return MNIST if made_so.mean() >= 0.99 else Preparation()
