"""No memory or no thread is an error like any other, in a process of its own whose address space is cut short."""

import subprocess
import sys

import pytest
from torch import nn

from lenette.engines import native
from lenette.plan import Plan
from lenette.recipes import Recipe
from tests.engines.native.twins import noise

if sys.platform != "linux":
    pytest.skip("the limits are Linux's", allow_module_level=True)

HEAD = """
import resource, torch
from lenette.errors import NoRoom
from tests.engines.native.test_room import engine_of

def megabytes(column):
    with open("/proc/self/statm") as file:
        return int(file.read().split()[column]) * resource.getpagesize() / 2**20

def limit(room):
    size = int(megabytes(0) + room) * 2**20 if room else resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))

def refused(call, *arguments):
    try:
        call(*arguments)
    except NoRoom as error:
        return str(error)
"""


def network():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def engine_of(num_images, batch_size, threads=1):
    """Return an engine that keeps 8 KB of each image of a batch."""
    plan = Plan(Recipe(model="own", batch_size=batch_size, epochs=1, lr=0.1), 3, num_images, (8, 8))
    return native.Engine(plan.initial(network), plan, noise(num_images, size=8, classes=5), threads=threads)


def run(code):
    engine_of(20, 10)  # the compiler needs more room than is left to it
    done = subprocess.run([sys.executable, "-c", HEAD + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_memory_names_the_batch_and_leaves_nothing_behind():
    words = run("""
engine_of(20, 10)
limit(500)
before = megabytes(1)
for _ in range(3):
    print(refused(engine_of, 100_000, 100_000, 2))
assert megabytes(1) < before + 200, (before, megabytes(1))  # the first of the two large buffers was to be had
engine_of(100_000, 10).advance(2)
""")
    lines = words.splitlines()
    assert lines == lines[:1] * 3
    assert "batches of 100,000 images on 2 threads: no memory for another 410 MB; take a smaller" in lines[0]


def test_no_thread_is_an_error_before_the_first_step_and_the_engine_goes_on():
    words = run("""
whole, cut = engine_of(40, 10, 2), engine_of(40, 10, 90)
limit(100)
print(refused(cut.advance, 4))
assert cut.step == 0
print(refused(cut.logits, cut.images))
limit(None)
assert torch.equal(cut.advance(4)[0], whole.advance(4)[0])
first, second = (engine.state() for engine in (whole, cut))
assert all(torch.equal(first[name], second[name]) for name in first)
""")
    first, second = words.splitlines()
    assert "batches of 10 images on 90 threads: only " in first
    assert "threads can be had; take a smaller batch_size or fewer threads" in second


def test_buffers_are_of_the_images_there_are():
    """A million images a batch would keep 8 GB."""
    words = run("""
limit(500)
small, large = engine_of(40, 40), engine_of(40, 1_000_000)
print(torch.equal(small.advance(1)[0], large.advance(1)[0]))
""")
    assert words == "True\n"
