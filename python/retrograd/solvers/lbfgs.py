"""L-BFGS for full-batch training: SciPy's optimiser with the core's loss and gradient. Mini-batches are in training/."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from .._checks import as_float, as_int
from .._data.reach import warn_unreachable
from ..errors import DivergenceError
from ..network import Network

__all__ = ["LBFGSResult", "fit_lbfgs"]


@dataclass(frozen=True)
class LBFGSResult:
    """The result of a run of L-BFGS.

    Attributes
    ----------
    loss : list of float
        The loss after each iteration, weight decay included; the first entry is the loss at the start.
    iterations, evaluations : int
        Iterations, and passes over the data (a line search may take several in one iteration).
    converged : bool
        Whether one of the two tolerances was reached.
    message : str
        SciPy's message on why it stopped.
    """

    loss: list[float] = field(default_factory=list)
    iterations: int = 0
    evaluations: int = 0
    converged: bool = False
    message: str = ""


def fit_lbfgs(
    network: Network,
    X: ArrayLike,
    y: ArrayLike,
    *,
    max_iter: int = 200,
    tol_grad: float = 1e-5,
    tol_loss: float = 1e-9,
    history_size: int = 10,
    weight_decay: float = 0.0,
    n_threads: int | None = None,
    callback: Callable[[int, float], object] | None = None,
) -> LBFGSResult:
    """Train a small network on all rows at once with L-BFGS, which is often far better than gradient descent there.

    There is no learning rate: a line search finds the length of each step. float64 suits it best; in float32 it stops
    earlier, when rounding hides the descent.

    Parameters
    ----------
    network : Network
        It must not normalise. Dropout, noise and `max_norm` have no effect.
    X, y : arrays
        As `Trainer.fit` takes them.
    max_iter : int, default 200
    tol_grad : float, default 1e-5
        Converged when no part of the gradient is larger.
    tol_loss : float, default 1e-9
        Converged when the loss falls by less than this fraction of it in an iteration.
    history_size : int, default 10
        The number of steps from which the curvature is estimated.
    weight_decay : float, default 0
        Adds weight_decay / 2 times the sum of squared weights (not biases) to the loss.
    n_threads : int, optional
    callback : callable, optional
        Called as callback(iteration, loss) after each iteration; StopIteration ends the run.

    Returns
    -------
    LBFGSResult

    Raises
    ------
    ImportError
        SciPy is missing: it is the extra `lbfgs`.
    DivergenceError
        The loss is not finite at the start; the weights are unchanged.
    ValueError, TypeError
        As `Trainer.fit`.

    Warns
    -----
    DataWarning
        As `Trainer.fit`.

    Notes
    -----
    However the run ends, by an error or Ctrl-C too, the weights are those of the last finished iteration. Liu, Nocedal:
    On the limited memory BFGS method for large scale optimization (1989).
    """
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise ImportError("fit_lbfgs needs SciPy: pip install retrograd[lbfgs]") from error
    if not isinstance(network, Network):
        raise TypeError(f"network: expected a Network, got {type(network).__name__}")
    if any(layer.norm for layer in network.layers):
        raise ValueError("network: expected one without normalisation, got layers with it")
    max_iter = as_int(max_iter, "max_iter", 0)
    options = {
        "maxiter": max_iter,
        "maxfun": 20 * max_iter + 20,
        "gtol": as_float(tol_grad, "tol_grad", 0.0),
        "ftol": as_float(tol_loss, "tol_loss", 0.0),
        "maxcor": as_int(history_size, "history_size", 1),
    }
    decay = as_float(weight_decay, "weight_decay", 0.0)
    data = network._examples(X, y)
    warn_unreachable(data, network._spec)
    rows, targets, _ = data
    shapes = [w.shape for w in network.weights] + [b.shape for b in network.biases]
    n_weights = sum(w.size for w in network.weights)
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])

    def put(flat: npt.NDArray[np.float64]) -> None:
        arrays = [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True)]
        network.set_weights(arrays[: network.depth], arrays[network.depth :])

    def loss_and_gradient(flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        put(flat)
        network.forward(rows, n_threads=n_threads)
        found = network.backward(targets, n_threads=n_threads)
        gradient = np.concatenate([part.ravel() for part in (*found.dw, *found.db)]).astype(np.float64)
        weights = flat[:n_weights]
        gradient[:n_weights] += decay * weights
        return float(found.loss or 0.0) + 0.5 * decay * float(weights @ weights), gradient

    start = np.concatenate([part.ravel() for part in (*network.weights, *network.biases)]).astype(np.float64)
    best, losses = start, [loss_and_gradient(start)[0]]
    if not np.isfinite(losses[0]):
        raise DivergenceError(None, 1, 0.0, losses[0])

    def iterated(intermediate_result: Any) -> None:
        nonlocal best
        best = intermediate_result.x.copy()
        losses.append(float(intermediate_result.fun))
        if callback is not None:
            callback(len(losses) - 1, losses[-1])

    try:
        result = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", options=options, callback=iterated)
    finally:
        put(best)
    return LBFGSResult(losses, int(result.nit), int(result.nfev), bool(result.success), str(result.message))
