"""The training of this package in pure NumPy, to read and to test against.

It computes what the compiled core computes, stage by stage and under the same names: forward pass, backward pass, weight
update. There are two books here.

`retrograd.reference.textbook` is the page to read first: one network, one activation, one loss, about 80 lines.

The rest is the oracle of the tests (in float64) and the opponent of the benchmark (in float32). It has every activation
and every loss, and it is written as a careful NumPy programmer would write it: arrays are allocated once and written in
place, and all parameters lie in one vector, so that an update is a few calls whatever the number of layers. It has three
chapters: `activations` and `losses` hold the formulas, `network` holds the three stages, gradient descent and an epoch.

This is not the engine: it has no threads of its own (BLAS may have), no stopping rules, no dropout and no normalisation.
"""

from .activations import *  # noqa: F403 (each formula is a name of this module; a new one is named in its chapter only)
from .activations import ACTIVATIONS, Activation
from .losses import *  # noqa: F403
from .losses import LOSSES, Loss
from .network import SGD, UPDATE_BLOCK, Network, train_epoch

__all__ = ["ACTIVATIONS", "LOSSES", "SGD", "UPDATE_BLOCK", "Activation", "Loss", "Network", "train_epoch"]
