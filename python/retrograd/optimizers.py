"""Optimisers: their settings, and the state that belongs to one network. The core does the arithmetic."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from . import _core
from ._careful import Careful, names_of, says_where, set_own
from ._checks import above_zero, as_bool, as_float, as_int, as_threads
from ._data.arrays import Array
from ._names import resolved
from ._pickles import Recorded, opened, stamped
from ._spec import LayerArray
from .network import Network, as_network

__all__ = ["SGD", "Adagrad", "Adam", "AdamW", "Group", "Lion", "Optimizer", "RMSprop"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = names_of(__name__, __all__)

_CORE = {"float32": _core.OptimizerF32, "float64": _core.OptimizerF64}
_PARAMS = ("all", "weights", "biases")
_LEAST_EPS = 1e-30  # float32 can hold it; where a gradient is always zero, 0 / (0 + eps) must be a number


@says_where()
@dataclass(frozen=True)
class Group(Recorded):
    """Settings of an optimiser for some of a network's parameters.

    Parameters
    ----------
    layers : int or sequence of int, optional
        Which layers, counted from 0; negative numbers count from the last. Default: all.
    params : {"all", "weights", "biases"}, default "all"
        Which parameters of these layers. "biases" are all but the weights: gamma and beta are among them.
    lr_factor : float, default 1
        A factor on the learning rate.
    weight_decay : float, optional
        Default: the optimiser's. It adds to the gradient what L2 regularisation by weight_decay / 2 times the sum of
        squares adds (with AdamW and Lion it shrinks the weights instead).
    l1 : float, default 0
        L1 regularisation: l1 times the sum of absolute values is added to the loss that is minimised (not to the loss
        that is shown), and so l1 sign(w) to the gradient.
    frozen : bool, default False
        Whether these parameters stay as they are; training then does not compute their gradients.
    """

    layers: int | Sequence[int] | None = None
    params: Literal["all", "weights", "biases"] = "all"
    lr_factor: float = 1.0
    weight_decay: float | None = None
    l1: float = 0.0
    frozen: bool = False

    def __post_init__(self) -> None:
        if self.layers is not None:
            one = isinstance(self.layers, int | np.integer)
            if not one and (isinstance(self.layers, str) or not isinstance(self.layers, Iterable)):
                raise TypeError(f"layers: expected the number of a layer or several, got {self.layers!r}")
            layers: Iterable[Any] = (self.layers,) if one else self.layers  # type: ignore[assignment]
            object.__setattr__(self, "layers", tuple(as_int(layer, "layers", -(2**31)) for layer in layers))
        if self.params not in _PARAMS:
            raise ValueError(f"params: expected one of {', '.join(_PARAMS)}, got {self.params!r}")
        object.__setattr__(self, "lr_factor", as_float(self.lr_factor, "lr_factor", 0.0))
        object.__setattr__(self, "l1", as_float(self.l1, "l1", 0.0))
        if self.weight_decay is not None:
            object.__setattr__(self, "weight_decay", as_float(self.weight_decay, "weight_decay", 0.0))
        object.__setattr__(self, "frozen", as_bool(self.frozen, "frozen"))

    def _includes(self, layer: int, params: str, depth: int) -> bool:
        if self.params not in ("all", params):
            return False
        if self.layers is None:
            return True
        return any(number % depth == layer for number in self.layers)  # type: ignore[union-attr]

    def _check_layers(self, depth: int) -> None:
        for number in self.layers or ():  # type: ignore[union-attr]
            if not -depth <= number < depth:
                raise ValueError(f"layers: expected numbers from {-depth} to {depth - 1}, got {number}")


class _HasRate(Careful):
    """The settings that every rule has, in the place where its constructor takes them."""

    lr: float
    weight_decay: float


@says_where("step")
@dataclass(eq=False, repr=False)
class Optimizer(_HasRate):
    """What all optimisers have in common; use one of SGD, Adam, AdamW, RMSprop, Adagrad, Lion.

    An optimiser owns its state (velocities, means of squares, the number of steps). The state starts at zero (Adagrad's
    at `initial_accumulator_value`). It is bound to the first network that the optimiser steps, or that a `Trainer` has
    with it. Settings are attributes and may be changed between calls; they are checked at the next use.

    Attributes
    ----------
    lr : float
        Learning rate.
    weight_decay : float
        Biases are decayed too, as in PyTorch; `groups` can change that.
    clip_norm, clip_value : float or None
        Before anything else, gradients are scaled down so that the norm of all of them together (frozen parameters left
        out) is at most `clip_norm` (Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural networks,
        2013; PyTorch's `clip_grad_norm_`), and then each is held between -clip_value and clip_value
        (`clip_grad_value_`).
    groups : tuple of Group
        Where several groups match, the last one counts.
    """

    _rule: ClassVar[str]
    _shown: ClassVar[tuple[str, ...]]  # settings of the rule, as the constructor names them
    _planes: ClassVar[tuple[str | None, ...]]  # PyTorch's names of the core's planes of the state
    _always: ClassVar[tuple[str, ...]] = ()  # those of them that every step uses

    _made_with: ClassVar[str] = "_stale"

    clip_norm: float | None = field(default=None, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)
    groups: Sequence[Group] = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        if not hasattr(self, "_rule"):
            raise TypeError(
                f"{type(self).__name__}: expected one of {', '.join(_RULES)}, or a class derived from one of them; there are "
                "no rules of your own: take gradients = net.backward(y) and write the new weights by net.set_weights(...)"
            )
        self._stale: Literal["", "lr", "all"]  # which of the present settings the core has not seen
        self._network: Network | None = None
        self._core: Any = None
        self._loaded: dict[str, Any] | None = None  # a state that is kept until there is a network
        self._checked_settings()

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "lr" and getattr(self, "_stale", None) is not None:  # it may change before every step
            if not self._stale:
                set_own(self, "_stale", name)  # this comes first: Ctrl-C may come between the two
            set_own(self, name, value)
            return
        if not name.startswith("_"):
            set_own(self, "_stale", "all")
            if name in ("groups", "betas") and isinstance(value, list):  # a change inside a list would go unnoticed
                value = tuple(value)
        super().__setattr__(name, value)

    def _rule_settings(self) -> dict[str, Any]:
        """The settings of the rule alone, checked, by the core's names."""
        raise NotImplementedError

    def _checked_settings(self) -> dict[str, Any]:
        """All settings, checked, by the core's names; those that are not among them are off."""
        settings: dict[str, Any] = {
            "lr": as_float(self.lr, "lr", 0.0),
            "weight_decay": as_float(self.weight_decay, "weight_decay", 0.0),
        }
        for name in ("clip_norm", "clip_value"):
            limit = getattr(self, name)
            if limit is not None:
                settings[name] = above_zero(limit, name)
        groups = self.groups
        if isinstance(groups, Group) or not isinstance(groups, Sequence) or not all(isinstance(g, Group) for g in groups):
            raise TypeError(f"groups: expected a sequence of Group, got {groups!r}")
        return settings | self._rule_settings()

    def _configure(self, core: Any, network: Network) -> None:
        """Tell the core the present settings."""
        settings = _core.OptimizerSettings(self._rule)
        for name, value in self._checked_settings().items():
            setattr(settings, name, value)
        core.configure(settings, self._for_arrays(network))

    def _for_arrays(self, network: Network) -> list[tuple[float, float, float, bool]]:
        """Factor of lr, weight decay, l1 and whether it is frozen: for the weights and biases of each layer."""
        depth = network.depth
        for group in self.groups:
            group._check_layers(depth)
        if not self.groups:
            return []
        arrays = []
        for layer in range(depth):
            for params in ("weights", "biases"):
                group = next((g for g in reversed(self.groups) if g._includes(layer, params, depth)), Group())
                decay = self.weight_decay if group.weight_decay is None else group.weight_decay
                arrays.append((group.lr_factor, decay, group.l1, group.frozen))
        return arrays

    def _bind(self, network: Network) -> Any:
        """The core's optimiser for this network, with the present settings; ValueError where it is bound to another."""
        if self._network is not network:
            self._first_bind(network)
        if self._stale:
            if self._stale == "lr":
                self._core.set_rate(as_float(self.lr, "lr", 0.0))
            else:
                self._configure(self._core, network)
            set_own(self, "_stale", "")
        return self._core

    def _first_bind(self, network: Network) -> None:
        as_network(network)
        if self._network is not None:
            raise ValueError("this optimiser belongs to another network (its state does): expected a new one")
        self._for_arrays(network)
        core = _CORE[network.dtype.name](network._core)
        if self._loaded is not None:
            self._configure(core, network)  # steps need the betas
            self._put(core, network, self._loaded)
        self._core, self._network, self._loaded = core, network, None
        self._stale = "all"

    def step(self, network: Network, *, n_threads: int | None = None) -> None:
        """Stage 3: update weights and biases with the gradients of `network.backward`.

        Raises
        ------
        RuntimeError
            No backward pass yet.
        ValueError
            The optimiser belongs to another network.
        """
        threads = as_threads(n_threads)
        core = self._bind(network)
        network._about_to_change()
        network._core.apply(core, threads)

    @property
    def steps(self) -> int:
        """The number of steps taken."""
        if self._core is None:
            return 0 if self._loaded is None else int(self._loaded["steps"])
        return int(self._core.steps())

    def state_dict(self) -> dict[str, Any]:
        """A copy of the state.

        Returns
        -------
        dict
            "steps", and for each part of the state, by PyTorch's name ("momentum_buffer", "exp_avg", ...), a list with
            a pair of arrays for each layer: (fan_in, fan_out) for its weights, and (fan_out,) for its biases (where the
            layer normalises, a vector of biases, gamma and beta one after the other; (0,) where it has none of these).
            Parts that no step has needed yet are left out.
        """
        if self._core is None:
            return {"steps": 0} if self._loaded is None else copy.deepcopy(self._loaded)
        state: dict[str, Any] = {"steps": self.steps}
        for plane, (name, there) in enumerate(zip(self._planes, self._core.planes(), strict=True)):
            if there and name is not None:
                state[name] = [self._read_plane(plane, arrays) for arrays in self._network._spec.arrays]  # type: ignore[union-attr]
        return state

    def _read_plane(self, plane: int, arrays: Sequence[LayerArray]) -> tuple[Array, Array]:
        """One plane for a layer: the numbers for its weights, and one vector for all else that it learns."""
        w, *vectors = (self._core.plane(plane, array.name, array.layer) for array in arrays if array.learned)
        return w, np.concatenate(vectors) if vectors else w[:0, 0]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take a state that `state_dict` gave; training goes on from there to the last bit.

        Where the optimiser is not bound yet, shapes are checked later, when it is.

        Raises
        ------
        ValueError, TypeError
            Names, shapes or values that do not fit; the state is then as it was.
        """
        if not isinstance(state, dict):
            raise TypeError(f"state: expected a dict, got {type(state).__name__}")
        known = {"steps", *filter(None, self._planes)}
        if "steps" not in state or not set(state) <= known:
            raise ValueError(
                f"state: expected steps and some of {', '.join(sorted(known - {'steps'}))}, "
                f"got {', '.join(map(str, state)) or 'nothing'}{_whose(state)}"
            )
        if as_int(state["steps"], "steps", 0) > 0 and not set(self._always) <= set(state):
            raise ValueError(
                f"state: expected {' and '.join(self._always)} after {state['steps']} steps of {type(self).__name__}, "
                f"got {', '.join(map(str, state))}{_whose(state)}"
            )
        if self._core is None or self._network is None:
            self._loaded = copy.deepcopy(state)
        else:
            self._bind(self._network)
            self._put(self._core, self._network, state)

    def _put(self, core: Any, network: Network, state: dict[str, Any]) -> None:
        """Put the state into the core, once all of it has been found to fit."""
        layers = network._spec.arrays
        planes = []
        for plane, name in enumerate(self._planes):
            if name is None or name not in state:
                continue
            pairs = state[name]
            if len(pairs) != len(layers):
                raise ValueError(f"{name}: expected a pair of arrays for each of {len(layers)} layers, got {len(pairs)}")
            for layer, (places, pair) in enumerate(zip(layers, pairs, strict=True)):
                w, b = (_as_plane(array, name, network.dtype) for array in pair)
                learned = [place for place in places if place.learned]
                vector = sum(prod(place.shape) for place in learned[1:])  # everything but the weights, in one vector
                if w.shape != places[0].shape or b.shape != (vector,):
                    expected = f"{places[0].shape} and ({vector},)"
                    raise ValueError(f"{name}, layer {layer}: expected shapes {expected}, got {w.shape} and {b.shape}")
                parts = np.split(b, np.cumsum([prod(place.shape) for place in learned[1:]], dtype=int))[:-1]
                planes += [(plane, place.name, layer, part) for place, part in zip(learned, (w, *parts), strict=True)]
        core.clear()
        for values in planes:
            core.set_plane(*values)
        core.set_steps(as_int(state["steps"], "steps", 0))

    def __getstate__(self) -> dict[str, Any]:
        """A copy has the settings and the state, but is bound to no network."""
        state = {name: value for name, value in self.__dict__.items() if not name.startswith("_")}
        return stamped({"settings": state, "state": self.state_dict() if self.steps or self._core is not None else None})

    def __setstate__(self, state: Any) -> None:
        found = opened(state, type(self).__name__, ("settings", "state"))
        for name, value in found["settings"].items():
            setattr(self, name, value)
        self._network = self._core = None
        self._loaded = found["state"]

    def __repr__(self) -> str:
        shown = [f"{name}={getattr(self, name)}" for name in ("lr", *self._shown, "weight_decay")]
        shown += [f"{name}={getattr(self, name)}" for name in ("clip_norm", "clip_value") if getattr(self, name) is not None]
        shown += [f"groups={list(self.groups)}"] if self.groups else []
        return f"{type(self).__name__}({', '.join(shown)})"


def _as_betas(betas: Any) -> tuple[float, float]:
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise TypeError(f"betas: expected a pair of numbers, got {betas!r}")
    return as_float(betas[0], "betas", 0.0, below=1.0), as_float(betas[1], "betas", 0.0, below=1.0)


def _as_plane(value: Any, name: str, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    array: npt.NDArray[Any] = np.ascontiguousarray(value, dtype=dtype)
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers that fit {dtype.name}")
    return array


@says_where()
@dataclass(eq=False, repr=False)
class SGD(Optimizer):
    """Stochastic gradient descent, with PyTorch's arithmetic: g = dw + weight_decay w; v = momentum v + g; w = w - lr v.

    With `nesterov` the step is lr (g + momentum v); without momentum it is lr g and v is left alone.

    Parameters
    ----------
    lr : float
        Learning rate, at least 0.
    momentum : float, default 0
        In [0, 1).
    nesterov : bool, default False
        Needs momentum.
    weight_decay : float, default 0
        At least 0. Biases are decayed too.
    dampening : float, default 0
        In [0, 1): v = momentum v + (1 - dampening) g from the second step on. Not with nesterov.
    clip_norm, clip_value, groups
        See `Optimizer`.

    Notes
    -----
    State: "momentum_buffer" (v). Sutskever, Martens, Dahl, Hinton: On the importance of initialization and momentum in deep
    learning (2013).
    """

    _rule: ClassVar[str] = "sgd"
    _shown: ClassVar[tuple[str, ...]] = ("momentum", "nesterov")
    _planes: ClassVar[tuple[str | None, ...]] = ("momentum_buffer", None, None)

    lr: float
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    dampening: float = field(default=0.0, kw_only=True)

    def _rule_settings(self) -> dict[str, Any]:
        momentum = as_float(self.momentum, "momentum", 0.0, below=1.0)
        dampening = as_float(self.dampening, "dampening", 0.0, below=1.0)
        nesterov = as_bool(self.nesterov, "nesterov")
        if nesterov and momentum == 0:
            raise ValueError("nesterov: expected momentum above 0, got 0")
        if nesterov and dampening != 0:
            raise ValueError(f"nesterov: expected dampening 0, got {self.dampening}")
        return {"momentum": momentum, "nesterov": nesterov, "dampening": dampening}


@says_where()
@dataclass(eq=False, repr=False)
class Adam(Optimizer):
    """Adam: steps of m / (sqrt(v) + eps), where m and v are unbiased running means of gradients and their squares.

    Parameters
    ----------
    lr : float, default 0.001
    betas : pair of float, default (0.9, 0.999)
        Decay of m and v; each in [0, 1).
    eps : float, default 1e-8
        At least 1e-30.
    weight_decay : float, default 0
        weight_decay w is added to the gradient. (`AdamW` shrinks the weights instead.)
    amsgrad : bool, default False
        Whether to divide by the root of the largest v so far (Reddi, Kale, Kumar: On the convergence of Adam and
        beyond, 2018).
    clip_norm, clip_value, groups
        See `Optimizer`.

    Notes
    -----
    State: "exp_avg" (m), "exp_avg_sq" (v), "max_exp_avg_sq". Kingma, Ba: Adam, a method for stochastic optimization (2015).
    """

    _rule: ClassVar[str] = "adam"
    _shown: ClassVar[tuple[str, ...]] = ("betas", "eps", "amsgrad")
    _planes: ClassVar[tuple[str | None, ...]] = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    _always: ClassVar[tuple[str, ...]] = ("exp_avg", "exp_avg_sq")
    _decoupled: ClassVar[bool] = False

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False

    def _rule_settings(self) -> dict[str, Any]:
        beta1, beta2 = _as_betas(self.betas)
        return {
            "beta1": beta1,
            "beta2": beta2,
            "eps": as_float(self.eps, "eps", _LEAST_EPS),
            "amsgrad": as_bool(self.amsgrad, "amsgrad"),
            "decoupled": self._decoupled,
        }


@says_where()
@dataclass(eq=False, repr=False)
class AdamW(Adam):
    """Adam with weight decay apart from the gradient: first w = (1 - lr weight_decay) w, then Adam's step.

    Parameters
    ----------
    lr : float, default 0.001
    betas : pair of float, default (0.9, 0.999)
    eps : float, default 1e-8
    weight_decay : float, default 0.01
    amsgrad : bool, default False
    clip_norm, clip_value, groups
        See `Optimizer`.

    Notes
    -----
    Loshchilov, Hutter: Decoupled weight decay regularization (2019).
    """

    _decoupled: ClassVar[bool] = True

    weight_decay: float = 1e-2


@says_where()
@dataclass(eq=False, repr=False)
class RMSprop(Optimizer):
    """RMSprop: steps of g / (sqrt(v) + eps), where v is a running mean of squared gradients.

    Parameters
    ----------
    lr : float, default 0.01
    alpha : float, default 0.99
        Decay of v, in [0, 1).
    eps : float, default 1e-8
        At least 1e-30.
    weight_decay : float, default 0
        weight_decay w is added to the gradient.
    momentum : float, default 0
        The momentum of the steps, in [0, 1).
    centered : bool, default False
        Whether the square of the gradients' running mean is subtracted from v, which then estimates their variance.
    clip_norm, clip_value, groups
        See `Optimizer`.

    Notes
    -----
    State: "square_avg" (v), "momentum_buffer", "grad_avg". Tieleman, Hinton: Lecture 6.5 (2012); Graves: Generating sequences
    with recurrent neural networks (2013).
    """

    _rule: ClassVar[str] = "rmsprop"
    _shown: ClassVar[tuple[str, ...]] = ("alpha", "eps", "momentum", "centered")
    _planes: ClassVar[tuple[str | None, ...]] = ("square_avg", "momentum_buffer", "grad_avg")
    _always: ClassVar[tuple[str, ...]] = ("square_avg",)

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False

    def _rule_settings(self) -> dict[str, Any]:
        return {
            "beta2": as_float(self.alpha, "alpha", 0.0, below=1.0),
            "eps": as_float(self.eps, "eps", _LEAST_EPS),
            "momentum": as_float(self.momentum, "momentum", 0.0, below=1.0),
            "centered": as_bool(self.centered, "centered"),
        }


@says_where()
@dataclass(eq=False, repr=False)
class Adagrad(Optimizer):
    """Adagrad: steps of g / (sqrt(s) + eps), where s is the sum of all squared gradients so far.

    Parameters
    ----------
    lr : float, default 0.01
    lr_decay : float, default 0
        Step t (from 0) has the rate lr / (1 + t lr_decay).
    weight_decay : float, default 0
        weight_decay w is added to the gradient.
    initial_accumulator_value : float, default 0
        The value that s starts with.
    eps : float, default 1e-10
        At least 1e-30.
    clip_norm, clip_value, groups
        See `Optimizer`.

    Notes
    -----
    State: "sum" (s). Duchi, Hazan, Singer: Adaptive subgradient methods for online learning and stochastic optimization (2011).
    """

    _rule: ClassVar[str] = "adagrad"
    _shown: ClassVar[tuple[str, ...]] = ("lr_decay", "initial_accumulator_value", "eps")
    _planes: ClassVar[tuple[str | None, ...]] = ("sum", None, None)
    _always: ClassVar[tuple[str, ...]] = ("sum",)

    lr: float = 1e-2
    lr_decay: float = 0.0
    weight_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10

    def _rule_settings(self) -> dict[str, Any]:
        return {
            "lr_decay": as_float(self.lr_decay, "lr_decay", 0.0),
            "initial": as_float(self.initial_accumulator_value, "initial_accumulator_value", 0.0),
            "eps": as_float(self.eps, "eps", _LEAST_EPS),
        }


@says_where()
@dataclass(eq=False, repr=False)
class Lion(Optimizer):
    """Lion: steps of lr in the direction sign(beta1 m + (1 - beta1) g), where m is a running mean of gradients.

    Parameters
    ----------
    lr : float, default 0.0001
    betas : pair of float, default (0.9, 0.99)
        beta1 of the direction, beta2 the decay of m; each in [0, 1).
    weight_decay : float, default 0
        As in AdamW: w = (1 - lr weight_decay) w.
    clip_norm, clip_value, groups
        See `Optimizer`.

    Notes
    -----
    State: "exp_avg" (m). Chen et al.: Symbolic discovery of optimization algorithms (2023).
    """

    _rule: ClassVar[str] = "lion"
    _shown: ClassVar[tuple[str, ...]] = ("betas",)
    _planes: ClassVar[tuple[str | None, ...]] = ("exp_avg", None, None)
    _always: ClassVar[tuple[str, ...]] = ("exp_avg",)

    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = 0.0

    def _rule_settings(self) -> dict[str, Any]:
        beta1, beta2 = _as_betas(self.betas)
        return {"beta1": beta1, "beta2": beta2, "decoupled": True}


# ---------------------------------------------------------------- by name

_RULES: dict[str, type[Optimizer]] = {rule.__name__: rule for rule in (SGD, Adam, AdamW, RMSprop, Adagrad, Lion)}
_NOT_THE_SAME = {
    "lbfgs": "it has no steps on batches: rg.fit_lbfgs(net, X, y)",
    "nadam": 'there is "adam"',
    "adamax": 'there is "adam"',
    "adadelta": 'there is "rmsprop"',
    "ftrl": 'there is "adagrad"',
    "momentum": "write rg.SGD(lr=0.1, momentum=0.9)",
    "nesterov": "write rg.SGD(lr=0.1, momentum=0.9, nesterov=True)",
}


def as_optimizer(given: object) -> Optimizer:
    """The optimiser itself, or a new one of that name with its defaults; else a TypeError or ValueError."""
    if isinstance(given, Optimizer):
        return given
    if isinstance(given, str):
        name = resolved(given, _RULES, "optimizer", others=_NOT_THE_SAME)
        if name == "SGD":
            raise ValueError(f"optimizer: {given!r} has no default rate; write rg.SGD(lr=0.1, momentum=0.9)")
        return _RULES[name]()  # all of the others have defaults
    hint = ""
    if isinstance(given, type) and issubclass(given, Optimizer):
        hint = f"; write rg.{given.__name__}({'lr=0.1' if given is SGD else ''})"
    elif isinstance(given, int | float):
        hint = f"; write rg.SGD(lr={given})"
    what = f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__
    raise TypeError(f"optimizer: expected an optimiser such as rg.Adam(), got {what}{hint}")


def _whose(state: dict[str, Any]) -> str:
    """Which optimisers have such a state."""
    planes = set(state) - {"steps"}
    kinds = [name for name, rule in _RULES.items() if planes and set(rule._always) <= planes <= set(filter(None, rule._planes))]
    return f", a state of {' or '.join(kinds)}" if kinds else ""
