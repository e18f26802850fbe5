"""Are the gradients right? Compares each gradient of a network with a central difference of its loss, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .._careful import explained
from .._checks import as_float
from .._data.arrays import Array, as_array
from .._pickles import Recorded
from ..network import Network, as_network


@dataclass(frozen=True)
class GradcheckResult(Recorded):
    """What `gradcheck` found.

    Attributes
    ----------
    worst : float
        The largest of `errors`.
    where : str
        The name of its array, for example "dw[0]".
    errors : dict
        For each array ("dw[0]", "db[0]", "dgamma[0]", ..., "dx") the largest |gradient - difference| relative to the largest
        number of either array.
    """

    worst: float
    where: str
    errors: dict[str, float]


@explained
def gradcheck(
    network: Network,
    X: ArrayLike,
    y: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    epsilon: float = 1e-5,
    training: bool = False,
) -> GradcheckResult:
    """Compare dw, db and dx of `network.backward(y)` with (loss(w + e) - loss(w - e)) / 2e.

    It takes two forward passes for each weight, bias and input, so it is meant for small networks and batches. The
    network is left as it is: the work is done on a float64 copy.

    Parameters
    ----------
    network : Network
    X : array (rows, inputs)
    y : array
        Targets, as for `Network.loss`.
    sample_weight : array (rows,), optional
        Weights of the rows, as for `Network.backward`: the loss is sum w l / rows.
    epsilon : float, default 1e-5
        Half the distance of the two points, times max(1, |value|).
    training : bool, default False
        Whether to check the passes of training; all of them then have the masks and the noise of the network's next
        step.

    Returns
    -------
    GradcheckResult

    Notes
    -----
    At a kink (z = 0 in relu, a = t in mae) the two have no reason to agree. The error of the difference itself is about
    epsilon^2.
    """
    epsilon = as_float(epsilon, "epsilon", 1e-12)
    twin = as_network(network)._as_dtype("float64")
    inputs = np.array(as_array(X, "X"), dtype=np.float64)
    mean_weight = 1.0 if sample_weight is None else float(np.mean(as_array(sample_weight, "sample_weight"), dtype=np.float64))
    twin.forward(inputs, training)
    gradients = twin.backward(y, sample_weight=sample_weight)
    found = {f"dw[{i}]": g for i, g in enumerate(gradients.dw)}
    found |= {f"db[{i}]": g for i, g in enumerate(gradients.db) if g is not None}
    found |= {f"dgamma[{i}]": g for i, g in enumerate(gradients.dgamma) if g is not None}
    found |= {f"dbeta[{i}]": g for i, g in enumerate(gradients.dbeta) if g is not None}
    found["dx"] = gradients.dx

    weights = [np.array(w) for w in twin.weights]
    biases = [None if b is None else np.array(b) for b in twin.biases]
    places: dict[str, Array] = {f"dw[{i}]": w for i, w in enumerate(weights)}
    places |= {f"db[{i}]": b for i, b in enumerate(biases) if b is not None}
    gammas = {i: np.array(g) for i, g in enumerate(twin.gamma) if g is not None}
    betas = {i: np.array(g) for i, g in enumerate(twin.beta) if g is not None}
    places |= {f"dgamma[{i}]": g for i, g in gammas.items()} | {f"dbeta[{i}]": g for i, g in betas.items()}
    places["dx"] = inputs

    def loss_at() -> float:
        twin.set_weights(weights, biases)
        for i, gamma in gammas.items():
            twin.set_norm(i, gamma=gamma, beta=betas[i])
        if not training:
            return mean_weight * twin.loss(inputs, y, sample_weight=sample_weight)
        twin.forward(inputs, training=True)
        loss = twin.backward(y, sample_weight=sample_weight).loss
        assert loss is not None
        return loss

    errors = {}
    for name, array in places.items():
        difference = np.empty_like(array)
        for index in np.ndindex(array.shape):
            value = array[index]
            e = epsilon * max(1.0, abs(float(value)))
            array[index] = value + e
            high = loss_at()
            array[index] = value - e
            low = loss_at()
            array[index] = value
            difference[index] = (high - low) / (2 * e)
        error = float(np.abs(difference - found[name]).max())
        largest = max(float(np.abs(difference).max()), float(np.abs(found[name]).max()))
        errors[name] = np.inf if not np.isfinite(error) else error / largest if largest else 0.0
    where = max(errors, key=lambda name: errors[name])
    return GradcheckResult(errors[where], where, errors)
