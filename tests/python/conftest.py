"""Fixtures and settings of the Python tests. Functions that tests call by name are in helpers.py, mathematics in oracle.py."""

import os
from collections.abc import Iterator

# Before NumPy is imported: the threads of its BLAS wait busily beside those under test, and the
# oracle then takes four times the processor.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis
import matplotlib
import numpy as np
import pytest
from helpers import LONG

matplotlib.use("Agg")  # no window, whatever the machine

hypothesis.settings.register_profile("ci", deadline=None, max_examples=50, derandomize=True, database=None)
hypothesis.settings.register_profile("long", deadline=None, max_examples=2000, database=None)
hypothesis.settings.load_profile("long" if LONG else "ci")


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers of the test's own, the same at each run."""
    return np.random.default_rng(12345)


@pytest.fixture
def closed_figures() -> Iterator[None]:
    """Closes what the test drew."""
    from matplotlib import pyplot

    yield
    pyplot.close("all")
