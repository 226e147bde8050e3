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
# # Backpropagation by hand
#
# A network learns by asking of each of its weights: *if this one grew a little, would the error grow or shrink, and
# how fast?* The answer is a derivative, and backpropagation is the way to find all of them at once. Here every number
# of it is written out, on a network so small that a pocket calculator would do; then the same rule runs on a network
# that reads digits.

# %%
from dataclasses import replace

import torch

import lenette
from lenette import data
from lenette.lessons import backprop, backprop_mlp
from lenette.lessons.backprop import COURSE, TEXTBOOK

# %matplotlib inline

# %% tags=["parameters"]
DATASET = "mnist"  # of the last two sections

# %% [markdown]
# ## 1. The network
#
# Two inputs $i$, two hidden neurons, two outputs $y$, eight weights $w$:
#
# ```
#     i1 ----w1---> [h1|a1] ----w5---> [o1|y1] --> E1
#         \      /           \      /               \
#         w3    w2           w7    w6                \
#           \  /               \  /                   \
#            \/                 \/                     E = E1 + E2
#            /\                 /\                    /
#           /  \               /  \                  /
#          /    \             /    \                /
#         /      \           /      \              /
#     i2 ----w4---> [h2|a2] ----w8---> [o2|y2] --> E2
# ```
#
# A neuron adds up what comes in, each times its weight, and squashes the sum to a number between 0 and 1:
#
# $$h_1 = w_1 i_1 + w_2 i_2 \qquad a_1 = \sigma(h_1) \qquad \sigma(x) = \frac{1}{1 + e^{-x}}$$
#
# The outputs $y$ should be the targets $t$. The error says how far off they are:
#
# $$E = E_1 + E_2 = \tfrac12 (t_1 - y_1)^2 + \tfrac12 (t_2 - y_2)^2$$

# %%
print(COURSE)

# %% [markdown]
# ## 2. Forward: from the inputs to the error

# %%
values = backprop.forward(COURSE)
for name, formula in backprop.FORWARD.items():
    print(f"{name:3} = {formula:20} = {values[name]:.7f}")

# %% [markdown]
# This network has no biases: $b_1$ and $b_2$ are 0.
#
# ## 3. What a derivative is: nudge a weight
#
# Let $w_5$ grow by a thousandth and look at $E$. How many thousandths did $E$ move?

# %%
nudge = 0.001
weights = list(COURSE.weights)
weights[4] += nudge  # w5
nudged = backprop.forward(replace(COURSE, weights=weights))
(nudged["E"] - values["E"]) / nudge

# %% [markdown]
# That number is, nearly, $\frac{\partial E}{\partial w_5}$. It is positive: more $w_5$, more error, so $w_5$ should go
# down. One could nudge every weight in turn, but each nudge costs a whole forward pass, and a network that reads digits
# has tens of thousands of weights. The chain rule gets all of them from one pass.
#
# ## 4. Backward: the chain rule
#
# $E$ depends on $y_1$, $y_1$ on $o_1$, and $o_1$ on $w_5$. The derivatives of the steps are multiplied:
#
# $$\frac{\partial E}{\partial w_5} = \frac{\partial E}{\partial y_1} \cdot \frac{\partial y_1}{\partial o_1} \cdot
# \frac{\partial o_1}{\partial w_5} = (y_1 - t_1) \cdot y_1 (1 - y_1) \cdot a_1$$
#
# In the middle stands the derivative of the sigmoid, $\sigma'(x) = \sigma(x)\,(1 - \sigma(x))$.
#
# A weight of the first layer reaches $E$ by two paths: $w_1$ moves $h_1$ and $a_1$, and $a_1$ moves both outputs. What
# the paths bring is added:
#
# $$\frac{\partial E}{\partial a_1} = \frac{\partial E}{\partial o_1} w_5 + \frac{\partial E}{\partial o_2} w_7 \qquad
# \frac{\partial E}{\partial w_1} = \frac{\partial E}{\partial a_1} \cdot a_1 (1 - a_1) \cdot i_1$$
#
# Nothing is computed twice: $\frac{\partial E}{\partial o_1}$ serves $w_5$ and $w_6$ and is then handed back to the
# first layer. Hence the name.

# %%
derivatives = backprop.backward(COURSE)
for name, formula in backprop.BACKWARD.items():
    print(f"{name:7} = {formula:25} = {derivatives[name]:.10f}")

# %% [markdown]
# ## 5. Check: PyTorch's autograd
#
# PyTorch is told the forward pass only and finds the derivatives itself.

# %%
checked = backprop.autograd(COURSE)
for name in derivatives:
    print(f"{name:7}  by hand {derivatives[name]:.10f}   autograd {checked[name]:.10f}")

# %% [markdown]
# Such a check is worth its two lines. A slip that is easily made, and that has found its way into print: to take
# $a_1 (1 - a_1)$ for $w_3$ as well, which belongs to the *second* hidden neuron. Here $a_1$ and $a_2$ are nearly
# equal, so the wrong number looks right:

# %%
wrong = derivatives["dE/da2"] * derivatives["da1/dh1"] * COURSE.inputs[0]
print(f"dE/dw3 with the slip {wrong:.10f}   autograd {checked['dE/dw3']:.10f}")

# %% [markdown]
# ## 6. Update: a small step downhill
#
# Each weight moves against its derivative, by as much as the learning rate $\eta$ says. All derivatives are taken
# before any weight moves.
#
# $$w \leftarrow w - \eta \frac{\partial E}{\partial w}$$

# %%
updated = backprop.update(COURSE, 0.5)
for k, (old, new) in enumerate(zip(COURSE.weights, updated.weights, strict=True), start=1):
    print(f"w{k}  {old:.2f} -> {new:.7f}")
print(f"E   {values['E']:.8f} -> {backprop.forward(updated)['E']:.8f}")

# %% [markdown]
# One update brings little. Many do:

# %%
print("learning rate   E after 1 update   E after 67")
for rate, (once, often) in backprop.error_table(COURSE).items():
    print(f"{rate:<15g} {once:<18.8f} {often:.4e}")

# %%
backprop.error_figure(COURSE)

# %% [markdown]
# On this scale, where each mark is ten times the one below, the curves are nearly straight: every update takes off
# about the same share of the error, and a larger learning rate takes off a larger share. So the larger the better? The
# derivative is the slope where the weights *are*; a step that is too long lands somewhere else altogether:

# %%
backprop.error_figure(COURSE, learning_rates=(2, 100, 1000))

# %% [markdown]
# At 100 the first updates make the error worse. At 1000 the very first sends the outputs to the sigmoid's flat
# end, where the derivatives are nearly nothing, and there they stay.
#
# ## 7. The textbook's variant
#
# The same network with biases ($b_1$ for both hidden neurons, $b_2$ for both outputs; they are not trained) and with
# targets that are harder to reach: a sigmoid comes to 0.01 and 0.99 only near its flat ends, where $y(1-y)$, and with
# it every derivative, is small.

# %%
print(TEXTBOOK)

# %%
backprop.errors(TEXTBOOK, 0.5, 1)

# %%
backprop.error_figure(TEXTBOOK, num_updates=1000)

# %% [markdown]
# The curves bend: the nearer the outputs come to the flat ends, the slower they learn.
#
# ## 8. Your own numbers
#
# Change anything. What happens with all weights equal? With all weights zero? With weights of 10?

# %%
mine = replace(COURSE, inputs=(1.0, 0.5), targets=(0.2, 0.8), weights=(0.3,) * 8)
print(backprop.walkthrough(mine, learning_rates=(0.5, 5.0)))

# %% [markdown]
# With equal weights both hidden neurons get the same derivatives, so they stay the same for ever, and the network might
# as well have one. That is why weights start from random numbers.
#
# ## 9. The same rule on a network that reads digits
#
# `sigmoid_mlp` has 784 inputs (the pixels), 100 hidden neurons and 10 outputs. Written one by one, its derivatives
# would fill a book; as matrices they are seven lines. $X$ holds a batch of $N$ images, one a row; $Y$ a 1 at each
# image's class. The outputs become probabilities $P$ by a softmax, and the error is the cross-entropy $L$ between $P$
# and $Y$.

# %%
if DATASET == "mnist" and data.find("mnist") is None:
    data.fetch("mnist")
digits = lenette.dataset(DATASET)
images, labels = digits.images[:512] / 255, digits.labels[:512]
torch.manual_seed(0)
model = lenette.model("sigmoid_mlp")
print(backprop_mlp.walkthrough(model, images, labels))

# %% [markdown]
# ## 10. And it learns
#
# The gradient that was worked out by hand is enough to train with: no autograd, no optimiser.

# %%
for step in range(101):
    found = backprop_mlp.by_hand(model, images, labels)
    if step % 20 == 0:
        share = (found["P"].argmax(dim=1) == labels).double().mean()
        print(f"update {step:3}   loss {found['L']:.4f}   of these images read correctly {share:.1%}")
    with torch.no_grad():
        for name, parameter in zip(("W1", "b1", "W2", "b2"), model.parameters(), strict=True):
            parameter.sub_(0.5 * found[f"dL/d{name}"])

# %% [markdown]
# These are images that it was trained on. How well it reads others is what the other notebooks are about.
