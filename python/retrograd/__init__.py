"""retrograd: train and run dense neural networks on a CPU, near the machine's limit.

    net = Network([784, 128, 10], activation="relu", loss="cross_entropy")
    Trainer(net, SGD(lr=0.1, momentum=0.9), batch_size=64).fit(X, y, epochs=10)
    net.predict(X)

`retrograd.reference` is the same in pure NumPy, to read; `python -m retrograd` shows it at work.
"""

from . import losses, metrics, schedules
from ._core import __version__
from .callbacks import Callback, StepInfo
from .diagnostics.gradcheck import GradcheckResult, gradcheck
from .diagnostics.lr_range import LRRange, lr_range_test
from .errors import DivergenceError
from .history import History
from .initializers import Initializer, normal
from .layers import Dense
from .network import Gradients, Network
from .optimizers import SGD, Adagrad, Adam, AdamW, Group, Lion, Optimizer, RMSprop
from .solvers.lbfgs import LBFGSResult, fit_lbfgs
from .training.stopping import EarlyStopping
from .training.trainer import Trainer

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Callback",
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
    "Optimizer",
    "RMSprop",
    "StepInfo",
    "Trainer",
    "__version__",
    "fit_lbfgs",
    "gradcheck",
    "losses",
    "lr_range_test",
    "metrics",
    "normal",
    "schedules",
]
