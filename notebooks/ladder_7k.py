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
# # A ladder down to 7,596 parameters
#
# Document D starts from a network of 15,580 parameters, takes parameters away until 7,596 are left (its model 1), adds
# random rotation (model 2) and then a learning rate that drops in steps (model 3). After each it writes down an
# analysis: overfitting, slightly overfitting, underfitting. Here the same steps are taken with several seeds, to see
# which of the differences are more than luck, and the analysis is made with figures that can carry it.

# %%
from IPython.display import Markdown

import lenette
from lenette import data, studies
from lenette.report import figures
from lenette.report.figures.study import differences, errors

# %matplotlib inline

# %% [markdown]
# These values decide how long it takes. Every run is kept in the folder `runs` beside the notebook: whoever executes it
# again finds the runs there instead of making them.

# %% tags=["parameters"]
DATASET = "mnist"
EPOCHS = 15
SEEDS = 5
PROCESSES = None  # as many as the cores can feed

# %%
if DATASET == "mnist" and data.find("mnist") is None:
    data.fetch("mnist")
train = lenette.dataset(DATASET)
figures.samples(train)

# %% [markdown]
# All five experiments are trained first. A seed gives each of them its images in the same order.

# %%
names = ["ladder_15k", "ladder_12k", "ladder_7k", "ladder_7k_rotation", "ladder_7k_step"]
recipes = {name: lenette.recipe(name).but(dataset=DATASET, epochs=EPOCHS) for name in names}
ladder = studies.ladder(list(recipes.values()), seeds=SEEDS, processes=PROCESSES)


def first_run(name: str) -> lenette.Run:
    """Return the experiment's run with the first seed."""
    return lenette.run(ladder.cell(name).runs[0].run)


def show_accuracies(*names: str) -> None:
    """Print the document's figures, which are of the best epoch, beside those here, the means of all seeds."""
    print(f"{'':19} | test: document, here best, last | train: document, here running, at rest")
    for name in names:
        cell, recipe = ladder.cell(name), recipes[name]
        runs = [run for run in cell.runs if run.figures]
        best = sum(max(run.curve["test_accuracy"]) for run in runs) / len(runs)
        last, running, train = (1 - cell.mean(f"{what}_error").mean for what in ("test", "train_running", "train"))
        print(f"{name:19} | {recipe.claim_test_accuracy:14.2%} {best:10.2%} {last:5.2%}", end=" | ")
        print(f"{recipe.claim_train_accuracy:15.2%} {running:13.2%} {train:8.2%}")


# %% [markdown]
# ## Model 1
#
# ### Experiment 1: Net1, 15,580 parameters

# %%
print(lenette.format_summary(lenette.summary(lenette.model("ladder_15k"), train.images.shape[1:])))

# %%
figures.curves(first_run("ladder_15k"))

# %% [markdown]
# ### Experiment 2: Net2, 12,704 parameters
#
# One convolution more and fewer channels; the last three convolutions have a ReLU, the very last one too, so that no
# output is negative.

# %%
figures.curves(first_run("ladder_12k"))

# %% [markdown]
# That last ReLU has a price. Where it cuts off an output for every image, no gradient gets through, and the class is
# lost for good: a tenth of the images each. It is a matter of luck, so look at every seed:

# %%
for run in ladder.cell("ladder_12k").runs:
    if run.figures:
        print(f"seed {run.seed}: {1 - run.figures['test_error']:.2%}")

# %% [markdown]
# ### Final: Net, 7,596 parameters
#
# Four channels where there were eight, a 1x1 convolution at the end instead of a 3x3, batch-norm nearly everywhere, a
# little dropout.

# %%
print(lenette.format_summary(lenette.summary(lenette.model("ladder_7k"), train.images.shape[1:])))

# %%
figures.curves(first_run("ladder_7k"))

# %%
show_accuracies("ladder_15k", "ladder_12k", "ladder_7k")

# %% [markdown]
# The document's test figure is the highest that any epoch had on the test images. Whoever picks the epoch by the test
# images gets the luck of the best throw with it: that is the distance from "best" to "last".
#
# ## Model 2: random rotation

# %%
figures.samples(train, recipes["ladder_7k_rotation"])

# %%
figures.curves(first_run("ladder_7k_rotation"))

# %%
show_accuracies("ladder_7k", "ladder_7k_rotation")

# %% [markdown]
# The document finds its test accuracy (99.26 %) above its train accuracy (98.99 %) and calls that underfitting. But its
# train accuracy is a running mean: of images that are turned, through dropout, by a network that is still learning. The
# curve "train, evaluated" is the same network at rest on the same images as they are. What is left of the gap is in the
# analysis below.
#
# It also tried colour jitter and crops, which "didn't give good accuracy". `lenette study augmentation ladder_7k`
# compares these and five more with no augmentation, each alone.
#
# ## Model 3: a learning rate that drops in steps

# %%
figures.learning_rate(first_run("ladder_7k_step"))

# %%
figures.curves(first_run("ladder_7k_step"))

# %%
show_accuracies("ladder_7k_rotation", "ladder_7k_step")

# %%
figures.worst(first_run("ladder_7k_step"), number=10)

# %% [markdown]
# ## The ladder, and the analysis

# %%
errors(ladder)

# %%
differences(ladder)

# %%
Markdown("\n".join(f"- {sentence}" for sentence in studies.answer(ladder)))

# %% [markdown]
# *Overfitting* is a test loss that rises while the train loss falls: the network learns its training images by heart at
# the cost of others. A gap between the two alone is not: every network does better on what it was trained on.
# *Underfitting* is a network that can't do its training images at rest, which more capacity or more training would
# help. Accuracy alone hides both: a network that grows surer of its mistakes has the same accuracy and a higher loss.
