"""retrograd: train and run dense neural networks on a CPU, near the machine's limit.

    net = Network([784, 128, 10], activation="relu", loss="cross_entropy")
    Trainer(net, SGD(lr=0.1, momentum=0.9), batch_size=64).fit(X, y, epochs=10)
    net.predict(X)

`retrograd.reference` is the same in pure NumPy, to read; `python -m retrograd` shows it at work.
"""

from ._core import __version__
from .errors import DivergenceError
from .gradcheck import GradcheckResult, gradcheck
from .history import History
from .initializers import Initializer, normal
from .network import Dense, Gradients, Network
from .optimizers import SGD, Adagrad, Adam, AdamW, Group, Lion, Optimizer, RMSprop
from .trainer import Trainer

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Dense",
    "DivergenceError",
    "GradcheckResult",
    "Gradients",
    "Group",
    "History",
    "Initializer",
    "Lion",
    "Network",
    "Optimizer",
    "RMSprop",
    "Trainer",
    "__version__",
    "gradcheck",
    "normal",
]
