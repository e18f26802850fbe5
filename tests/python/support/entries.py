"""Every entry point of the compiled core with a call of it, for tests that must hold for all of them.

test_fork.py compares the tables with what the extension exports, so that no later binding is forgotten. The calls go
straight to the extension, with work for several threads wherever a call may take them. There is no test here.
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
        self.suffix = suffix
        self.dtype = {"F32": np.float32, "F64": np.float64}[suffix]
        self.x = inputs(ROWS, SIZES[0]).astype(self.dtype)
        self.y = targets("cross_entropy", ROWS, SIZES[-1]).astype(np.int32)
        self.dz = inputs(ROWS, SIZES[-1], seed=2).astype(self.dtype)
        self.net = self.network()
        self.net.force_team(forced)
        self.net.forward(self.x)
        self.net.backward(self.y)
        self.optimizer = self.of("Optimizer")(self.net)
        self.optimizer.configure(settings("sgd", lr=0.1, momentum=0.9, weight_decay=1e-3, nesterov=True), [])
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
        return [self.net.get(name, layer) for name in ("w", "b") for layer in layers]


def settings(rule: str, **others: Any) -> Any:
    """Settings of an optimiser as the extension takes them."""
    result = _core.OptimizerSettings(rule)
    for name, value in others.items():
        setattr(result, name, value)
    return result


def epoch(s: Subject, **others: Any) -> Any:
    """One epoch on the forced team."""
    options = _core.EpochOptions()
    for name, value in {"batch_size": 40, "shuffle": True, "seed": 5, "epoch": 1, **others}.items():
        setattr(options, name, value)
    return s.trainer.epoch(s.optimizer, s.x, s.y, None, options)


def figures(result: Any) -> list[Any]:
    """What an epoch tells, but for its team, which a fork changes."""
    return [getattr(result, name) for name in ("diverged", "loss", "metric", "weight", "bad_step", "bad_loss")]


def adam(s: Subject) -> Any:
    """The optimiser of the subject as Adam, with gradients clipped by their norm."""
    return s.optimizer.configure(settings("adam", lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, clip_norm=0.1), [])


def state(s: Subject) -> Any:
    """The state of the optimiser."""
    return [s.optimizer.plane(0, name, layer) for name in ("w", "b") for layer in range(len(SIZES) - 1)]


ENTRIES: dict[str, Callable[[Subject], Any]] = {
    "Network.__init__": lambda s: s.network().get("w", 1),
    "Network.force_team": lambda s: s.net.force_team(0),
    "Network.force_plan": lambda s: s.net.force_plan("measured"),
    "Network.get": lambda s: [s.net.get(name, 1) for name in ("w", "b")],
    "Network.set": lambda s: (s.net.set("w", 0, np.ones(SIZES[:2], s.dtype)), s.parameters()),
    "Network.put_quick": lambda s: (s.net.put_quick([0], [np.ones(SIZES[:2], s.dtype)]), s.parameters()),
    "Network.gradient": lambda s: [s.net.gradient(name, 1) for name in ("w", "b")],
    "Network.fill": lambda s: (s.net.fill(1, "uniform", 0.1, 4), s.parameters()),
    "Network.fill_biases": lambda s: (s.net.fill_biases(1, 0.1, 4), s.parameters()),
    "Network.copy_from": lambda s: (s.net.copy_from(s.network(8)), s.parameters()),
    "Network.steps": lambda s: s.net.steps(),
    "Network.set_steps": lambda s: (s.net.set_steps(7), s.net.steps()),
    "Network.forward": lambda s: (s.net.forward(s.x), s.net.output()),
    "Network.backward": lambda s: (s.net.backward(s.y), s.net.gradient("w", 0)),
    "Network.backward_dz": lambda s: (s.net.backward_dz(s.dz), s.net.gradient("w", 0)),
    "Network.forward_quick": lambda s: (s.net.force_team(0), s.net.forward_quick(s.x[:1], False)),
    "Network.backward_quick": lambda s: (
        *(s.net.force_team(0), s.net.forward(s.x[:1]), s.net.backward_quick(s.y[:1], None, False)),
        s.net.gradient("w", 0),
    ),
    "Network.backward_dz_quick": lambda s: (
        *(s.net.force_team(0), s.net.forward(s.x[:1]), s.net.backward_dz_quick(s.dz[:1])),
        s.net.gradient("w", 0),
    ),
    "Network.apply": lambda s: (adam(s), s.net.apply(s.optimizer), s.parameters()),
    "Network.output": lambda s: s.net.output(),
    "Network.batch_rows": lambda s: s.net.batch_rows(),
    "Network.z": lambda s: s.net.z(1),
    "Network.a": lambda s: s.net.a(1),
    "Network.delta": lambda s: s.net.delta(1),
    "Network.dx": lambda s: s.net.dx(),
    "Network.predict": lambda s: [s.net.predict(s.x, answer) for answer in range(3)],
    "Network.predict_quick": lambda s: (s.net.force_team(0), [s.net.predict_quick(s.x[:1], answer) for answer in range(3)]),
    "Network.evaluate": lambda s: s.net.evaluate(s.x, s.y),
    "Network.evaluate_quick": lambda s: (s.net.force_team(0), s.net.evaluate_quick(s.x[:1], s.y[:1], None)),
    "Network.find_nonfinite_weight": lambda s: s.net.find_nonfinite_weight() is None,
    "Network.find_nonfinite": lambda s: s.net.find_nonfinite(np.ones((5000, 200), s.dtype)) is None,
    "Network.takes": lambda s: s.net.takes(np.ones((5000, 200), s.dtype), 200),
    "Optimizer.__init__": lambda s: s.of("Optimizer")(s.net).steps(),
    "Optimizer.configure": lambda s: (adam(s), figures(epoch(s)), s.parameters()),
    "Optimizer.set_rate": lambda s: (s.optimizer.set_rate(0.01), figures(epoch(s)), s.parameters()),
    "Optimizer.clear": lambda s: (s.net.apply(s.optimizer), s.optimizer.clear(), figures(epoch(s)), s.parameters()),
    "Optimizer.steps": lambda s: (figures(epoch(s)), s.optimizer.steps()),
    "Optimizer.set_steps": lambda s: (adam(s), s.optimizer.set_steps(7), figures(epoch(s)), s.parameters()),
    "Optimizer.planes": lambda s: (figures(epoch(s)), s.optimizer.planes()),
    "Optimizer.plane": lambda s: (figures(epoch(s)), state(s)),
    "Optimizer.set_plane": lambda s: (
        s.optimizer.set_plane(0, "w", 0, np.ones(SIZES[:2], s.dtype)),
        figures(epoch(s)),
        state(s),
    ),
    "Trainer.__init__": lambda s: (s.of("Trainer")(s.net).step(s.optimizer, s.x, s.y), s.parameters()),
    "Trainer.epoch": lambda s: (figures(epoch(s)), s.parameters()),
    "Trainer.plan": lambda s: (figures(epoch(s)), len(s.trainer.plan()) == 3),
    "Trainer.team": lambda s: (figures(epoch(s)), s.trainer.team() >= 1),
    "Trainer.gradient_norms": lambda s: (figures(epoch(s, gradient_norms=True)), s.trainer.gradient_norms()),
    "Trainer.step": lambda s: (s.trainer.step(s.optimizer, s.x, s.y.astype(np.int64)), s.parameters()),
    "Trainer.step_weighted": lambda s: (
        s.trainer.step_weighted(s.optimizer, s.x, s.y.astype(np.int64), 0, np.ones(ROWS, s.dtype), True),
        s.parameters(),
    ),
    "OptimizerSettings.__init__": lambda s: settings("rmsprop", centered=True).centered,
    "EpochOptions.__init__": lambda s: _core.EpochOptions().last,
    "parameter_table": lambda s: _core.parameter_table([3, 2], ["batch"], [True]),
    "isa": lambda s: _core.isa(),
    "fused": lambda s: _core.fused(),
    "available_isas": lambda s: _core.available_isas(),
    "labels": lambda s: _core.labels(s.y, ROWS, SIZES[-1]),
    "within": lambda s: _core.within(s.x, -9.0, 9.0),
    "max_threads": lambda s: _core.max_threads() >= 1,
    "plans_are_measured": lambda s: _core.plans_are_measured() in (True, False),
    "plans_forget": lambda s: _core.plans_forget() is None,
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
    "OptimizerSettings.__init__",
    "EpochOptions.__init__",
    "Network.force_team",  # a wish for the calls that follow
    "Network.force_plan",  # the same
    "Trainer.__init__",
    *(name for name in ENTRIES if "." not in name),
}


def exported() -> set[str]:
    """The names of all that the extension exports to be called, without the suffix of the dtype."""
    names = set()
    for name, value in vars(_core).items():
        if isinstance(value, type):
            # attributes that are read and set are no calls; EpochResult has no other, and is made by an epoch alone
            calls = (key for key, member in vars(value).items() if not isinstance(member, property))
            methods = [key for key in calls if key == "__init__" or not key.startswith("_")]
            methods = [] if value is _core.EpochResult else methods
            names |= {f"{name.removesuffix('F32').removesuffix('F64')}.{key}" for key in methods}
        elif callable(value) and not name.startswith("_"):
            names.add(name)
    return names
