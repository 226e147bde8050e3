"""A few small runs of every kind, made once."""

from pathlib import Path

import pytest

from lenette.errors import Diverged
from lenette.progress import Progress
from lenette.runs import Run, in_store
from lenette.training import train


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def course(store: Path) -> Run:
    return train("ladder_7k_step", epochs=3, dataset="optdigits", threads=1, store=store)


@pytest.fixture(scope="session")
def lenet(store: Path) -> Run:
    return train("lenet5", epochs=6, dataset="optdigits", threads=1, store=store, max_parameters=50_000, max_epochs=9)


@pytest.fixture(scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    store = tmp_path_factory.mktemp("sealed")
    return train("lenet5", epochs=2, dataset="optdigits", protocol="sealed", threads=1, store=store)


@pytest.fixture(scope="session")
def refit(store: Path) -> Run:
    return train("lenet5", epochs=1, dataset="optdigits", protocol="sealed", fold=-1, threads=1, store=store)


@pytest.fixture(scope="session")
def diverged(tmp_path_factory: pytest.TempPathFactory) -> Run:
    store = tmp_path_factory.mktemp("diverged")
    with pytest.raises(Diverged):
        train("lenet5", epochs=2, dataset="optdigits", lr=1e10, threads=1, store=store)
    return in_store(store)[0]


@pytest.fixture(scope="session")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run that ended in its third epoch, without a word."""
    store = tmp_path_factory.mktemp("killed")

    def kill(progress: Progress) -> None:
        if progress.epoch == 3:
            raise SystemError("killed")

    with pytest.raises(SystemError):
        train("lenet5", epochs=5, dataset="optdigits", threads=1, store=store, progress=kill)
    return in_store(store)[0]


@pytest.fixture(scope="session")
def cut(store: Path) -> Run:
    return train("lenet5", epochs=500, dataset="optdigits", threads=1, store=store, max_seconds=0.2, max_bytes=177_704)
