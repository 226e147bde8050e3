"""The fixtures' own promises."""

import os
import subprocess
import sys

import pytest

TEST = "tests/data/test_splits.py::test_mnist_parts_in_fifty_thousand_and_ten"


@pytest.mark.parametrize(("required", "outcome"), [("1", "1 error"), ("", "1 skipped")])
def test_without_mnist_its_tests_skip_unless_it_is_required(pytestconfig, tmp_path, required, outcome):
    hidden = {"LENETTE_REQUIRE_MNIST": required, "XDG_DATA_HOME": str(tmp_path), "HOME": str(tmp_path)}
    environment = {key: value for key, value in os.environ.items() if key != "LENETTE_DATA"} | hidden
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", TEST],
        cwd=pytestconfig.rootpath,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in run.stdout
    assert "real MNIST was not found" in run.stdout
