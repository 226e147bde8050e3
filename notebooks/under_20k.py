# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("lenette") is None:  # then from the clone, in which this notebook lies
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", ".."], check=True)

# %% [markdown]
# # Two networks of fewer than 20,000 parameters
#
# Documents B and E set the same task: more than 99.4 % of MNIST's test images read correctly, with fewer than 20,000
# parameters and within 20 epochs. B claims 99.45 % with 19,192 parameters, E 99.52 % with 19,865. Here both networks
# are built, looked at and trained as their documents say.

# %%
import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle

import lenette
from lenette import data, report
from lenette.report import figures

# %matplotlib inline

# %% [markdown]
# How long the training may take. The runs are kept in the folder `runs` beside the notebook, and found there when it is
# executed again. The seed is 1000, the first of those that `make proofs` trains: after that nothing is left to train.

# %% tags=["parameters"]
DATASET = "mnist"
EPOCHS = 20

# %% [markdown]
# ## 1. The images

# %%
if DATASET == "mnist" and data.find("mnist") is None:
    data.fetch("mnist")
train, test = lenette.dataset(DATASET), lenette.dataset(DATASET, "test")
print(f"{len(train):,} images to train on, {len(test):,} to test with, each of {list(train.images.shape[1:])} values")
figures.samples(train)

# %% [markdown]
# ## 2. The transformations
#
# *Every* image, of the training and of the test part, is scaled to 0..1 and then normalised: the mean of all training
# pixels is taken off, and what remains is divided by their standard deviation. The test images take the training
# images' numbers, since nobody knows the mean of images that are yet to come.

# %%
print(f"mean {train.mean[0]:.4f}, standard deviation {train.std[0]:.4f}")

# %% [markdown]
# *Training* images are changed by chance as well in document E, anew in every epoch: turned a little, and some of them
# cut at the rim and enlarged again. Document B names no augmentation.

# %%
recipes = {name: lenette.recipe(name).but(dataset=DATASET, epochs=EPOCHS) for name in ("transition_19k", "deep_19k")}
for name, recipe in recipes.items():
    print(name, {field: value for field, value in recipe.values("augmentation").items() if value})

# %%
figures.samples(train, recipes["deep_19k"])

# %% [markdown]
# Each column is one image: as it is, then as it is trained on in four different epochs. Test images stay as they are.
#
# ## 3. The networks
#
# Document B: 3x3 convolutions, each followed by batch-norm, ReLU and a dropout of 4 %; 1x1 convolutions that bring the
# number of channels down before each pool (the document calls them transition layers); and an average over what is left
# of the image instead of a large linear layer. The table of its layers was a picture that is lost; this network meets
# its words and its number of parameters.

# %%
network_b = lenette.summary(lenette.model("transition_19k"), train.images.shape[1:])
print(lenette.format_summary(network_b))

# %% [markdown]
# Document E: eight convolutions, two of them 1x1, down to a single pixel.

# %%
network_e = lenette.summary(lenette.model("deep_19k"), train.images.shape[1:])
print(lenette.format_summary(network_e))

# %% [markdown]
# ## 4. Receptive fields
#
# The receptive field of a layer is the piece of the image that one of its values can see. A 3x3 convolution makes it
# two steps longer and wider, a 2x2 pool one; a step is one pixel at first, and twice as long after each pool. Document
# E has a column for it. Its first convolution is said to see 2 pixels, but a 3x3 filter sees 3; all that follows is too
# small by the same one pixel.

# %%
claimed = {"conv1": 2, "conv2": 4, "pool1": 5, "conv3": 5, "conv4": 9, "conv5": 13}
claimed |= {"pool2": 15, "conv6": 15, "conv7": 23, "conv8": 31}
fields = {row["name"]: row["receptive_field"] for row in network_e["rows"] if row["name"] in claimed}
print("layer   field  in the document")
for layer, field in fields.items():
    print(f"{layer:7} {field:5} {claimed[layer]:16}")

# %%
_, grid = plt.subplots(2, 5, figsize=(7, 3.2), layout="constrained")
for axes, (layer, field) in zip(grid.flat, fields.items(), strict=True):
    first = (27 - field) / 2
    axes.imshow(train.images[0, 0], cmap="gray_r")
    axes.add_patch(Rectangle((first, first), field, field, fill=False, color="#d55e00", linewidth=1.5))
    axes.set(xlim=(-3, 30), ylim=(30, -3), title=f"{layer}: {field}")
    axes.set_axis_off()
plt.show()

# %% [markdown]
# The squares are drawn about the middle. The last one is larger than the image: the one value that the last layer has
# for each digit sees all of it, and some of the padding round it.
#
# ## 5. Training

# %%
runs = {}
for name, recipe in recipes.items():
    print(name)
    runs[name] = lenette.train(recipe, seed=1000, progress=lenette.print_lines)

# %% [markdown]
# What came of it, beside what the documents claim, for one seed: another one would end a little higher or lower.

# %%
for run in runs.values():
    print("\n".join(report.lines(run)), "\n")

# %% [markdown]
# ## 6. The curves

# %%
figures.curves(runs["transition_19k"])

# %%
figures.curves(runs["deep_19k"])

# %% [markdown]
# Document E explains how to read them: a test loss that rises while the train loss falls is overfitting. The train
# curve is a running mean, taken while the network learns, from images that are augmented and through dropout, which
# makes them harder. The figures for train in the lines above are taken at rest, without either: these are the ones to
# hold against test.
#
# ## 7. The mistakes

# %%
figures.confusion(runs["deep_19k"])

# %%
figures.worst(runs["deep_19k"], number=15)

# %% [markdown]
# Above each image stands what it is and what it was taken for, with the probability that the network gave to its
# mistake.
#
# ## 8. Inside
#
# What each convolution of the network makes of one image. The maps get smaller and the pieces of the image that they
# speak of larger.

# %%
figures.feature_maps(runs["deep_19k"], test.images[0])
