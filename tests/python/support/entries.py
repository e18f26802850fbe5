"""Every entry point of the compiled core, each with a call of it: for tests that must hold for all of them.

The tables are held against what the extension exports (test_fork.py), so that a later binding cannot be forgotten. The calls
go straight to the extension, with work for several threads wherever a call may take them. No test is here.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from helpers import inputs, targets
from retrograd import _core

SIZES = (200, 600, 310, 10)  # parameters enough for several threads in an update
ROWS = 64
TEAM = 2


def empty(suffix: str) -> Any:
    """A network of the extension, its weights zero."""
    return getattr(_core, f"Network{suffix}")(SIZES, ["tanh"] * (len(SIZES) - 2) + ["identity"], "cross_entropy")


@functools.cache
def drawn(suffix: str, seed: int) -> Any:
    """Such a network with weights, to be copied from: drawing them takes longer than most of the calls here."""
    net = empty(suffix)
    for layer in range(len(SIZES) - 1):
        net.fill(layer, "normal", 0.05, seed)
    return net


class Subject:
    """A network after both passes, with an optimiser's state and a trainer; fresh for each call, as most change something."""

    def __init__(self, suffix: str, forced: int = TEAM) -> None:
        self.suffix, self.forced = suffix, forced
        self.dtype = {"F32": np.float32, "F64": np.float64}[suffix]
        self.x = inputs(ROWS, SIZES[0]).astype(self.dtype)
        self.y = targets("cross_entropy", ROWS, SIZES[-1]).astype(np.int32)
        self.dz = inputs(ROWS, SIZES[-1], seed=2).astype(self.dtype)
        self.net = self.network()
        self.net.forward(self.x, 0, forced)
        self.net.backward(self.y, 0, forced)
        self.optimizer = self.of("Optimizer")(self.net)
        self.optimizer.configure(**SETTINGS)
        self.trainer = self.of("Trainer")(self.net)

    def of(self, name: str) -> Any:
        """The class of the extension for this dtype."""
        return getattr(_core, name + self.suffix)

    def network(self, seed: int = 3) -> Any:
        """A network of the extension with weights of that seed."""
        net = empty(self.suffix)
        net.copy_from(drawn(self.suffix, seed))
        return net

    def parameters(self) -> list[Any]:
        """Weights, then biases."""
        layers = range(len(SIZES) - 1)
        return [*map(self.net.weights, layers), *map(self.net.biases, layers)]


SETTINGS: dict[str, Any] = {
    "rule": "sgd",
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 1e-3,
    "nesterov": True,
    "dampening": 0.0,
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "lr_decay": 0.0,
    "initial": 0.0,
    "decoupled": False,
    "third": False,
    "clip_value": np.inf,
    "clip_norm": np.inf,
    "groups": [],
}


def epoch(s: Subject, **others: Any) -> Any:
    """One epoch on the forced team."""
    return s.trainer.epoch(s.optimizer, s.x, s.y, 40, True, True, 5, 1, 0, s.forced, **others)


def adam(s: Subject) -> Any:
    """The optimiser of the subject as Adam, with gradients clipped by their norm."""
    return s.optimizer.configure(**SETTINGS | {"rule": "adam", "lr": 1e-3, "clip_norm": 0.1})


def state(s: Subject) -> Any:
    """The state of the optimiser."""
    return [s.optimizer.plane(0, layer) for layer in range(len(SIZES) - 1)]


ENTRIES: dict[str, Callable[[Subject], Any]] = {
    "Network.__init__": lambda s: s.network().weights(1),
    "Network.set_layer": lambda s: (
        s.net.set_layer(0, np.ones(SIZES[:2], s.dtype), np.ones(SIZES[1], s.dtype)),
        s.parameters(),
    ),
    "Network.fill": lambda s: (s.net.fill(1, "uniform", 0.1, 4), s.parameters()),
    "Network.weights": lambda s: s.net.weights(1),
    "Network.biases": lambda s: s.net.biases(1),
    "Network.copy_from": lambda s: (s.net.copy_from(s.network(8)), s.parameters()),
    "Network.steps": lambda s: s.net.steps(),
    "Network.set_steps": lambda s: (s.net.set_steps(7), s.net.steps()),
    "Network.forward": lambda s: (s.net.forward(s.x, 0, s.forced), s.net.output()),
    "Network.backward": lambda s: (s.net.backward(s.y, 0, s.forced), s.net.dw(0)),
    "Network.backward_dz": lambda s: (s.net.backward_dz(s.dz, 0, s.forced), s.net.dw(0)),
    "Network.apply": lambda s: (adam(s), s.net.apply(s.optimizer), s.parameters()),
    "Network.output": lambda s: s.net.output(),
    "Network.batch_rows": lambda s: s.net.batch_rows(),
    "Network.z": lambda s: s.net.z(1),
    "Network.a": lambda s: s.net.a(1),
    "Network.delta": lambda s: s.net.delta(1),
    "Network.dw": lambda s: s.net.dw(1),
    "Network.db": lambda s: s.net.db(1),
    "Network.norm": lambda s: s.net.norm(1),
    "Network.set_norm": lambda s: s.net.set_norm(1, []),
    "Network.dnorm": lambda s: s.net.dnorm(1),
    "Network.dx": lambda s: s.net.dx(),
    "Network.predict": lambda s: [s.net.predict(s.x, answer, 0, s.forced) for answer in range(3)],
    "Network.predict_quick": lambda s: [s.net.predict_quick(s.x[:1], answer) for answer in range(3)],
    "Network.evaluate": lambda s: s.net.evaluate(s.x, s.y, 0, s.forced),
    "Network.find_nonfinite_weight": lambda s: s.net.find_nonfinite_weight() is None,
    "Network.find_nonfinite": lambda s: s.net.find_nonfinite(np.ones((5000, 200), s.dtype)) is None,
    "Network.takes": lambda s: s.net.takes(np.ones((5000, 200), s.dtype), 200),
    "Optimizer.__init__": lambda s: s.of("Optimizer")(s.net).steps(),
    "Optimizer.configure": lambda s: (adam(s), epoch(s)[:6], s.parameters()),
    "Optimizer.clear": lambda s: (s.net.apply(s.optimizer), s.optimizer.clear(), epoch(s)[:6], s.parameters()),
    "Optimizer.steps": lambda s: (epoch(s)[:6], s.optimizer.steps()),
    "Optimizer.set_steps": lambda s: (adam(s), s.optimizer.set_steps(7), epoch(s)[:6], s.parameters()),
    "Optimizer.planes": lambda s: (epoch(s)[:6], s.optimizer.planes()),
    "Optimizer.plane": lambda s: (epoch(s)[:6], state(s)),
    "Optimizer.set_plane": lambda s: (
        s.optimizer.set_plane(0, 0, np.ones(SIZES[:2], s.dtype), np.ones(SIZES[1], s.dtype)),
        epoch(s)[:6],
        state(s),
    ),
    "Trainer.__init__": lambda s: (s.of("Trainer")(s.net).step(s.optimizer, s.x, s.y), s.parameters()),
    "Trainer.epoch": lambda s: (epoch(s)[:6], s.parameters()),
    "Trainer.gradient_norms": lambda s: (epoch(s, gradient_norms=True)[:6], s.trainer.gradient_norms()),
    "Trainer.step": lambda s: (s.trainer.step(s.optimizer, s.x, s.y.astype(np.int64), 0, s.forced), s.parameters()),
    "isa": lambda s: _core.isa(),
    "fused": lambda s: _core.fused(),
    "available_isas": lambda s: _core.available_isas(),
    "labels": lambda s: _core.labels(s.y, ROWS, SIZES[-1]),
    "max_threads": lambda s: _core.max_threads() >= 1,
    "cgroup_cpus": lambda s: _core.cgroup_cpus(""),
    "openmp": lambda s: _core.openmp(),
    "compiler": lambda s: _core.compiler(),
    "permutation": lambda s: _core.permutation(5, 1, 1000),
}

# What may be called while another thread trains the network: it reads and writes nothing of it. All else must refuse.
FREE = {
    "Network.__init__",
    "Network.find_nonfinite",  # static
    "Network.takes",  # static
    "Optimizer.__init__",
    "Trainer.__init__",
    *(name for name in ENTRIES if "." not in name),
}


def exported() -> set[str]:
    """The names of all that the extension exports to be called, without the suffix of the dtype."""
    names = set()
    for name, value in vars(_core).items():
        if isinstance(value, type):
            methods = (key for key in vars(value) if key == "__init__" or not key.startswith("_"))
            names |= {f"{name.removesuffix('F32').removesuffix('F64')}.{key}" for key in methods}
        elif callable(value) and not name.startswith("_"):
            names.add(name)
    return names
