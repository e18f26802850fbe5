"""L-BFGS for full-batch training: SciPy's optimiser with the core's loss and gradient. Mini-batches are in training/."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import ArrayLike

from .._careful import explained
from .._checks import as_bool, as_float, as_int
from .._data.reach import warn_unreachable
from .._data.weights import over_their_mean
from .._pickles import Recorded
from ..errors import DivergenceError
from ..network import Network, as_network
from ..training.diagnosis import advise_of_solver

__all__ = ["LBFGSResult", "fit_lbfgs"]

_ROUNDED = "rounding hides the descent, and X and y scaled to about 1 may help"
_WIDER = ", and dtype='float64'"

Flat = npt.NDArray[np.float64]

_ENOUGH = 20  # iterations after which a run that has won hardly anything is worth a word


@dataclass(frozen=True)
class LBFGSResult(Recorded):
    """The result of a run of L-BFGS.

    Attributes
    ----------
    loss : list of float
        The loss after each iteration, weight decay included; the first entry is the loss at the start.
    iterations, evaluations : int
        Iterations, and passes over the data (a line search may take several in one iteration).
    converged : bool
        Whether one of the two tolerances was reached, and the gradient says so too.
    message : str
        Why it stopped: SciPy's message, or that the loss no longer falls though the gradient is not 0.
    """

    loss: list[float] = field(default_factory=list)
    iterations: int = 0
    evaluations: int = 0
    converged: bool = False
    message: str = ""

    def __repr__(self) -> str:
        losses = f", loss {self.loss[0]:.4g} to {self.loss[-1]:.4g}" if self.loss else ""
        end = "converged" if self.converged else "not converged"
        return f"LBFGSResult({self.iterations} iterations, {self.evaluations} evaluations{losses}, {end}: {self.message})"


@explained
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
    sample_weight: ArrayLike | None = None,
    n_threads: int | None = None,
    callback: Callable[[int, float], object] | None = None,
    advice: bool = True,
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
        Converged when no part of the gradient is larger. It is meant for y of about 1; scale smaller y, or it ends early.
    tol_loss : float, default 1e-9
        Converged when the loss falls by less than this fraction of it (of 1 where the loss is less) in an iteration, and
        the gradient promises no more than that either.
    history_size : int, default 10
        The number of steps from which the curvature is estimated.
    weight_decay : float, default 0
        Adds weight_decay / 2 times the sum of squared weights (not biases) to the loss.
    sample_weight : array (rows,), optional
        The weights of the rows, as in `Trainer.fit`: they are divided by their mean.
    n_threads : int, optional
    callback : callable, optional
        Called as callback(iteration, loss) after each iteration; StopIteration ends the run.
    advice : bool, default True
        Whether to warn (`NotLearningWarning`) where the run ends near the level of a constant answer.

    Returns
    -------
    LBFGSResult

    Raises
    ------
    ImportError
        SciPy is missing: it is the extra `lbfgs`.
    DivergenceError
        The loss or its gradient is not finite at the start; the weights are unchanged. (A trial of the line search that
        overflows is no reason: the search steps back.)
    ValueError, TypeError
        As `Trainer.fit`.

    Warns
    -----
    DataWarning
        As `Trainer.fit`.
    NotLearningWarning
        See `advice`.

    Notes
    -----
    However the run ends, by an error or Ctrl-C too, the weights are those of the last finished iteration. Liu, Nocedal:
    On the limited memory BFGS method for large scale optimization (1989).
    """
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise ImportError("fit_lbfgs needs SciPy: pip install retrograd[lbfgs]") from error
    as_network(network)
    if any(layer.norm for layer in network.layers):
        raise ValueError("network: expected one without normalisation, got layers with it")
    max_iter, advice = as_int(max_iter, "max_iter", 0), as_bool(advice, "advice")
    tol_grad, tol_loss = as_float(tol_grad, "tol_grad", 0.0), as_float(tol_loss, "tol_loss", 0.0)
    options: dict[str, Any] = {
        "ftol": tol_loss,
        "maxcor": as_int(history_size, "history_size", 1),
    }
    decay = as_float(weight_decay, "weight_decay", 0.0)
    data = network._examples(X, y, sample_weight)
    warn_unreachable(data, network._spec)
    rows, targets = data.rows, data.targets
    weights_of_rows = None if data.weights is None else over_their_mean(data.weights)
    if max_iter:
        network._set_prior(data)
    has_bias = [layer.bias for layer in network.layers]
    shapes = [w.shape for w in network.weights] + [b.shape for b in network.biases if b is not None]
    n_weights = sum(w.size for w in network.weights)
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes])

    def put(flat: Flat) -> None:
        arrays = [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes, strict=True)]
        biases = iter(arrays[network.depth :])
        network.set_weights(arrays[: network.depth], [next(biases) if has else None for has in has_bias])

    def loss_and_gradient(flat: Flat) -> tuple[float, Flat]:
        put(flat)
        network.forward(rows, n_threads=n_threads)
        found = network.backward(targets, sample_weight=weights_of_rows, n_threads=n_threads)
        parts = [part.ravel() for part in (*found.dw, *found.db) if part is not None]
        gradient = np.concatenate(parts).astype(np.float64)
        weights = flat[:n_weights]
        gradient[:n_weights] += decay * weights
        return float(found.loss or 0.0) + 0.5 * decay * float(weights @ weights), gradient

    learned = [part.ravel() for part in (*network.weights, *network.biases) if part is not None]
    start = np.concatenate(learned).astype(np.float64)
    first = _Point(start, *loss_and_gradient(start))
    if not first.finite:
        raise DivergenceError(None, 0, 0.0, first.loss)
    search = _Search(loss_and_gradient, first, network.dtype)
    losses = [first.loss]

    def iterated(intermediate_result: Any) -> None:
        search.accept(intermediate_result.x)
        losses.append(search.best.loss)
        if callback is not None:
            try:
                callback(len(losses) - 1, losses[-1])
            except StopIteration:
                search.stopped = True
                raise

    done, evaluations, message, converged = 0, 1, "no iterations were asked for", False
    try:
        while done < max_iter:
            search.begin()
            left = max(1, 20 * max_iter + 20 - evaluations)
            options |= {"gtol": tol_grad / search.scale, "maxiter": max_iter - done, "maxfun": left}
            result = minimize(search, search.best.x, jac=True, method="L-BFGS-B", options=options, callback=iterated)
            moved, done, evaluations = result.nit > 0, done + int(result.nit), evaluations + int(result.nfev)
            message = str(result.message)
            converged = bool(result.success) and search.says_so(result.hess_inv, tol_grad, tol_loss)
            if not converged and (result.success or "ABNORMAL" in message):  # which says that a line search found nothing
                message = f"the loss no longer falls, but its gradient is not 0 (up to {search.steepness:.2g}): {_ROUNDED}"
                message += _WIDER if network.dtype == np.float32 else ""
            # A line search that met trials without a finite loss can give up far from the minimum, because the memory of
            # earlier steps misled it, and a scaled function can seem flat. The search begins anew as long as that helps.
            go_on = moved and not search.stopped and evaluations <= 20 * max_iter and (search.refused > 0 or search.scale > 1)
            if converged or not go_on:
                break
    finally:
        put(search.best.x)
    if advice and max_iter and (converged or done >= _ENOUGH):
        advise_of_solver(network, data, decay, n_threads)
    return LBFGSResult(losses, done, evaluations, converged, message)


@dataclass(frozen=True)
class _Point:
    """Weights and biases in one vector, and what was found there."""

    x: Flat
    loss: float
    gradient: Flat

    @property
    def finite(self) -> bool:
        """Whether loss and gradient are numbers."""
        return math.isfinite(self.loss) and bool(np.isfinite(self.gradient).all())


class _Search:
    """The function that SciPy minimises: it is finite everywhere, so that a line search steps back instead of ending.

    Where the loss or its gradient is not finite, or the weights do not fit the network's dtype, it answers with a loss
    far above that of the last finished iteration, which rises along the step. The line search then takes a sixth of the
    step at most, and looks again.
    """

    def __init__(self, function: Callable[[Flat], tuple[float, Flat]], first: _Point, dtype: np.dtype[Any]) -> None:
        self._function = function
        self._largest, self._rounding = float(np.finfo(dtype).max), float(np.finfo(dtype).eps)
        self.best = self._last = first
        self.stopped = False  # by the user's callback
        self.begin()

    def begin(self) -> None:
        """Begin a run of the minimiser at the best point."""
        self.refused = 0  # trials without a finite loss
        # The minimiser squares the gradient. Where that would overflow, it is given a share of the function.
        size = float(np.abs(self.best.gradient).max())
        self.scale = size if size > 1e100 else 1.0

    def __call__(self, x: Flat) -> tuple[float, Flat]:
        best, scale = self.best, self.scale
        if np.array_equal(x, best.x):
            return best.loss / scale, best.gradient / scale
        if np.abs(x).max() <= self._largest:
            point = _Point(x.copy(), *self._function(x))
            if point.finite:
                self._last = point
                return point.loss / scale, point.gradient / scale
        self.refused += 1
        step = x - best.x
        rise = 2 * abs(float((best.gradient / scale) @ step)) + abs(best.loss / scale) + 1
        return best.loss / scale + rise, step * (2 * rise / float(step @ step))

    @property
    def steepness(self) -> float:
        """The largest part of the gradient at the best point."""
        return float(np.abs(self.best.gradient).max())

    def accept(self, x: Flat) -> None:
        """An iteration has ended at x, the last point where the function was asked."""
        if np.array_equal(x, self._last.x):
            self.best = self._last

    def says_so(self, inverse_hessian: Any, tol_grad: float, tol_loss: float) -> bool:
        """Whether the gradient, too, says that this is a minimum.

        Either it is within its tolerance, or what a step by the estimated curvature would still gain, g^T H g / 2, is as
        small as the loss's tolerance says (up to the factor that such an estimate may be wrong by).
        """
        gradient = self.best.gradient
        if np.abs(gradient).max() <= tol_grad:
            return True
        gain = 0.5 * float(gradient @ inverse_hessian.dot(gradient / self.scale))
        return gain <= 100 * max(tol_loss, self._rounding) * max(1.0, abs(self.best.loss))
