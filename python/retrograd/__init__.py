"""retrograd: train and run dense neural networks on a CPU, near the machine's limit.

    net = Network([784, 128, 10], activation="relu", loss="cross_entropy")
    Trainer(net, SGD(lr=0.1, momentum=0.9), batch_size=64).fit(X, y, epochs=10)
    net.predict(X)

`retrograd.reference` does the same in pure NumPy, for reading; `python -m retrograd` shows the package at work.
"""

from typing import TYPE_CHECKING, Any

from . import losses, metrics, schedules
from ._core import __version__
from .callbacks import Callback, StepInfo
from .errors import DataWarning, DivergenceError, NotLearningWarning, RetrogradWarning, TrainingWarning
from .history import History
from .initializers import Initializer, normal
from .layers import Dense
from .network import Gradients, Network
from .optimizers import SGD, Adagrad, Adam, AdamW, Group, Lion, Optimizer, RMSprop
from .training.averaging import EMA, SWA
from .training.stopping import EarlyStopping
from .training.trainer import Trainer

if TYPE_CHECKING:
    from .diagnostics.gradcheck import GradcheckResult, gradcheck
    from .diagnostics.lr_range import LRRange, lr_range_test
    from .loggers import CSVLogger, TensorBoard
    from .solvers.lbfgs import LBFGSResult, fit_lbfgs

__all__ = [
    "EMA",
    "SGD",
    "SWA",
    "Adagrad",
    "Adam",
    "AdamW",
    "CSVLogger",
    "Callback",
    "DataWarning",
    "Dense",
    "DivergenceError",
    "EarlyStopping",
    "GradcheckResult",
    "Gradients",
    "Group",
    "History",
    "Initializer",
    "LBFGSResult",
    "LRRange",
    "Lion",
    "Network",
    "NotLearningWarning",
    "Optimizer",
    "RMSprop",
    "RetrogradWarning",
    "StepInfo",
    "TensorBoard",
    "Trainer",
    "TrainingWarning",
    "__version__",
    "fit_lbfgs",
    "gradcheck",
    "losses",
    "lr_range_test",
    "metrics",
    "normal",
    "schedules",
]

# What most programs do not use is imported when it is first asked for.
_LATER = {
    "GradcheckResult": "diagnostics.gradcheck",
    "gradcheck": "diagnostics.gradcheck",
    "LRRange": "diagnostics.lr_range",
    "lr_range_test": "diagnostics.lr_range",
    "CSVLogger": "loggers",
    "TensorBoard": "loggers",
    "LBFGSResult": "solvers.lbfgs",
    "fit_lbfgs": "solvers.lbfgs",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        from ._careful import no_such_name

        raise AttributeError(no_such_name(name, __all__))
    from importlib import import_module

    value = getattr(import_module(f".{_LATER[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*(name for name in globals() if name not in ("Any", "TYPE_CHECKING")), *_LATER})
