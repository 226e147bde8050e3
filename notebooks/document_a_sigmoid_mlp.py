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
# # One hidden layer of sigmoid neurons
#
# The laboratory of document A, for its first network. It asks for a network that reads the digits of MNIST, for what it
# is worth, and for what batch size and learning rate do to it. The headings are the document's questions; the answers
# to 6.b and 6.c stand at the end.

# %%
import math

import matplotlib.pyplot as plt
import torch
from IPython.display import Markdown
from torch.nn import functional

import lenette
from lenette import data, studies
from lenette.report import figures
from lenette.report.figures.study import errors, losses, rates

# %matplotlib inline

# %% [markdown]
# These values decide how long it takes. Every run is kept in the folder `runs` beside the notebook: whoever executes it
# again finds the runs there instead of making them.

# %% tags=["parameters"]
DATASET = "mnist"
EPOCHS = 20
SEEDS = 5
PROCESSES = None  # as many as the cores can feed

# %%
if DATASET == "mnist" and data.find("mnist") is None:
    data.fetch("mnist")
train, test = lenette.dataset(DATASET), lenette.dataset(DATASET, "test")
print(f"{len(train):,} images to train on, {len(test):,} to test with")

# %% [markdown]
# ## Question 1: the network
#
# 784 pixels, 100 sigmoid neurons, 10 outputs. The document's softmax, which makes ten probabilities of the outputs, is
# in the loss already, `cross_entropy`; `run.network().probabilities` gives the probabilities.

# %%
lenette.model("sigmoid_mlp")

# %% [markdown]
# ## Question 3: classify the digits, with stochastic gradient descent

# %%
figures.samples(train)

# %%
recipe = lenette.recipe("sigmoid_mlp").but(dataset=DATASET, epochs=EPOCHS, evaluate_train="every")
print(f"{recipe.optimizer}, learning rate {recipe.lr}, {recipe.batch_size} images a step, {recipe.epochs} epochs")

# %%
run = lenette.train(recipe, seed=0, progress=lenette.print_lines)

# %% [markdown]
# The accuracy marked as running is a by-product of the training: a mean over the epoch, of a network that was still
# changing. The figures of question 4 are taken afterwards, with the weights at rest.
#
# ## Question 4: (a) training and (b) testing accuracy, (c) training and (d) testing loss

# %%
print("          accuracy     loss    mistakes")
for part, found in run.final.items():
    print(f"{part:8} {found.accuracy:9.2%} {found.loss:8.4f} {found.num_errors:7,} of {found.num_images:,}")

# %%
figures.confusion(run)

# %% [markdown]
# ## Question 5: loss against epoch

# %%
figures.curves(run)

# %% [markdown]
# ### Two mistakes, and how to recognise them
#
# Two slips are so common that their curves are worth knowing. The one: `optimizer.step()` stands a level too far to the
# left, outside the loop over the batches, so that an epoch is one step. The other: the network ends in a softmax, and
# so does the loss, since `cross_entropy` has one in it. Neither raises an error. Here both are made on purpose, on up
# to 10,000 of the images.

# %%
images = ((train.images[:10_000] / 255) - train.mean[0]) / train.std[0]
labels = train.labels[:10_000]


def curve(softmax_twice: bool, one_step_an_epoch: bool) -> tuple[list[float], float]:
    """Return the train loss before the first epoch and after each, and the accuracy after the last."""
    torch.manual_seed(0)
    model = lenette.model("sigmoid_mlp")
    optimizer = torch.optim.SGD(model.parameters(), lr=recipe.lr)

    def outputs_of(batch):
        return model(batch).softmax(dim=1) if softmax_twice else model(batch)

    after_epochs = [functional.cross_entropy(outputs_of(images), labels).item()]
    for _ in range(EPOCHS):
        for batch, truth in zip(images.split(recipe.batch_size), labels.split(recipe.batch_size), strict=True):
            optimizer.zero_grad()
            functional.cross_entropy(outputs_of(batch), truth).backward()
            if not one_step_an_epoch:
                optimizer.step()
        if one_step_an_epoch:
            optimizer.step()
        with torch.no_grad():
            outputs = outputs_of(images)
            after_epochs.append(functional.cross_entropy(outputs, labels).item())
    return after_epochs, (outputs.argmax(dim=1) == labels).double().mean().item()


cases = {
    "as it should be": (False, False, "-o"),
    "softmax before the loss": (True, False, "--s"),
    "one step an epoch": (False, True, "-.^"),
    "both": (True, True, ":D"),
}
plt.figure(figsize=(6.4, 4.8), layout="constrained")
for name, (softmax_twice, one_step, style) in cases.items():
    after_epochs, accuracy = curve(softmax_twice, one_step)
    plt.plot(after_epochs, style, markersize=4, label=f"{name}: {accuracy:.1%} read correctly")
floor = math.log(1 + 9 / math.e)
plt.axhline(floor, color="grey", linewidth=1)
plt.annotate("no lower than this with two softmaxes", (EPOCHS, floor - 0.03), ha="right", va="top")
plt.xticks(range(0, EPOCHS + 1, 1 + EPOCHS // 10))
plt.xlabel("epoch")
plt.ylabel("train loss")
plt.ylim(0, None)
plt.figlegend(loc="outside lower center")
plt.show()

# %% [markdown]
# - **One step an epoch**: the curve lingers near $\ln 10 = 2.303$, the loss of a blind guess among ten digits. The
#   network isn't too small and the rate not too low: these are the first few steps of a training that ends there. Count
#   the steps: there are as many as epochs.
# - **Two softmaxes**: the loss can't come below $\ln(1 + 9/e) = 1.461$, not even with every digit read correctly,
#   because the second softmax gets numbers between 0 and 1 and makes at most $e/(e + 9)$ of them. And it learns slowly:
#   where the ten probabilities are alike, every gradient is a tenth of what it should be, and where the first softmax
#   is sure, rightly or wrongly, there is next to none.
# - **Both**: a few steps, each with a tenth of the gradient. It looks as though the digits couldn't be learnt.
#
# ## Question 6: the model's behaviour
#
# Each setting is trained with several seeds. One seed gives the same first weights and the same order of images in
# every setting, so that the settings are compared pair by pair.
#
# ### 6.a: train and test error against batch size
#
# The number of epochs and the learning rate stay the same; a batch twice as large makes half as many steps.

# %%
by_size = studies.batch_size(recipe, seeds=SEEDS, processes=PROCESSES)
errors(by_size)

# %%
Markdown("\n".join(f"- {sentence}" for sentence in studies.answer(by_size)))

# %% [markdown]
# ### 6.b: test error against learning rate

# %%
by_rate = studies.learning_rate(recipe, rates=(0.025, 0.05, 0.1, 0.2, 0.5), seeds=SEEDS, processes=PROCESSES)
errors(by_rate)

# %%
losses(by_rate)

# %% [markdown]
# ### 6.c: a learning rate that falls
#
# One rate for some epochs, then a lower one, then one lower still; and SGDR, where the rate falls along a cosine and
# starts again from the top (Loshchilov and Hutter, [arXiv:1608.03983](https://arxiv.org/abs/1608.03983)).

# %%
by_schedule = studies.schedule(recipe, seeds=SEEDS, processes=PROCESSES)
for cell in by_schedule.cells:
    print(f"{cell.name:28}", ", ".join(f"{name} {value}" for name, value in cell.changes.items()))

# %%
rates(by_schedule)

# %%
losses(by_schedule)

# %%
errors(by_schedule)

# %% [markdown]
# ## Answer to 6.b: which learning rate, and why?

# %%
Markdown("\n".join(f"- {sentence}" for sentence in studies.answer(by_rate)))

# %% [markdown]
# A learning rate is the length of a step downhill. With too short a step the epochs are over before the network has
# arrived, which shows as a higher loss on its own training images. Too long a step overshoots: the loss jumps about, or
# is lost altogether. Between the two, rates are told apart by what they leave over for images that weren't trained on,
# and often they can't be: then there is no reason to prefer one, and that is an answer too. It holds for this network,
# this batch size and this number of epochs; with another batch size the same step is another one.
#
# ## Answer to 6.c: what does a falling learning rate bring?

# %%
Markdown("\n".join(f"- {sentence}" for sentence in studies.answer(by_schedule)))

# %% [markdown]
# Every step follows the gradient of a handful of images, not of all, so that each is partly noise. At a fixed rate the
# network ends up wandering about in a region whose size goes with the rate. A rate that falls lets it settle; one that
# falls too early leaves it on the way. SGDR lets it settle several times: its loss is to be read at the end of a
# cosine, not just after a restart.
