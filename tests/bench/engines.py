"""The engines that are compared: how each trains and predicts. Loaded in a child process that has its threads already.

A trainer is a function that takes rows and answers and returns a function of no argument, one epoch over them; what an
engine does once (copies, conversions, compilation) comes before. Every engine trains with plain SGD, in float32, from the
same start, on shuffled batches. A predictor takes rows as a NumPy array and returns labels as one.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Epoch = Callable[[], object]
Train = Callable[[Array, Array], Epoch]
Predict = Callable[[Array], Array]

OURS = "retrograd"


class Task(NamedTuple):
    """What to do, as plain numbers and words: it goes to the child as JSON."""

    sizes: list[int]
    activation: str
    loss: str  # "cross_entropy" or "mse"
    batch_size: int  # of a step; predicting: rows of a call
    rows: int
    momentum: float
    lr: float
    threads: int


def data_of(task: Task) -> tuple[Array, Array]:
    """Return random rows and answers; of labels, every class is there where there are rows enough."""
    random = np.random.default_rng(0)
    X = random.standard_normal((task.rows, task.sizes[0]), dtype=np.float32)
    if task.loss == "cross_entropy":
        return X, random.permutation(np.arange(task.rows) % task.sizes[-1])
    return X, random.standard_normal((task.rows, task.sizes[-1]), dtype=np.float32)


def parameters_of(task: Task) -> list[tuple[Array, Array]]:
    """Return weights and biases of every layer, the same for all engines."""
    random = np.random.default_rng(1)
    layers = []
    for fan_in, fan_out in zip(task.sizes, task.sizes[1:], strict=False):
        w = random.standard_normal((fan_in, fan_out), dtype=np.float32) * np.float32((2 / fan_in) ** 0.5)
        layers.append((w, np.zeros(fan_out, np.float32)))
    return layers


# ---------------------------------------------------------------------------------------------- retrograd and NumPy


def _our_network(task: Task) -> Any:
    import retrograd

    network = retrograd.Network(task.sizes, activation=task.activation, loss=task.loss)
    network.set_weights(*zip(*parameters_of(task), strict=True))
    return network


def train_retrograd(task: Task) -> Train:
    """Return a trainer: one `fit` an epoch."""
    import retrograd

    optimizer = retrograd.SGD(task.lr, momentum=task.momentum)
    trainer = retrograd.Trainer(
        _our_network(task), optimizer, batch_size=task.batch_size, n_threads=task.threads, progress=False, advice=False
    )

    def train(X: Array, y: Array) -> Epoch:
        def epoch() -> int:
            trainer.fit(X, y, epochs=1)
            return trainer._core.team()  # small work takes fewer threads than it may: worth a note in the table

        return epoch

    return train


def predict_retrograd(task: Task) -> Predict:
    """Return `Network.predict`."""
    network = _our_network(task)
    return lambda X: np.asarray(network.predict(X, n_threads=task.threads))


def train_numpy(task: Task) -> Train:
    """Return a trainer: the project's own careful NumPy."""
    from retrograd import reference

    network = reference.Network.like(_our_network(task))
    optimizer = reference.SGD(task.lr, momentum=task.momentum)
    random = np.random.default_rng(2)

    def train(X: Array, y: Array) -> Epoch:
        return lambda: reference.train_epoch(network, optimizer, X, y, task.batch_size, random.permutation(len(X)))

    return train


def predict_numpy(task: Task) -> Predict:
    """Return what one would write by hand: a product, a sum and a comparison for each layer."""
    if task.activation != "relu":
        raise ValueError(f"NumPy predicts with relu here, not with {task.activation}")
    layers = parameters_of(task)

    def predict(X: Array) -> Array:
        a = X
        for w, b in layers[:-1]:
            a = a @ w
            a += b
            np.maximum(a, 0, out=a)
        w, b = layers[-1]
        a = a @ w
        a += b
        return np.asarray(a.argmax(axis=1))

    return predict


# ---------------------------------------------------------------------------------------------- scikit-learn


def _sklearn_model(task: Task) -> Any:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    warnings.simplefilter("ignore")  # that one epoch is not enough to converge
    model = MLPClassifier if task.loss == "cross_entropy" else MLPRegressor
    return model(
        hidden_layer_sizes=task.sizes[1:-1],
        activation={"sigmoid": "logistic"}.get(task.activation, task.activation),
        solver="sgd",
        alpha=0.0,
        batch_size=task.batch_size,
        learning_rate_init=task.lr,
        momentum=task.momentum,
        nesterovs_momentum=False,
        max_iter=1,
        tol=0.0,
        n_iter_no_change=10**9,
        warm_start=True,
        random_state=0,
    )


def train_sklearn(task: Task) -> Train:
    """Return a trainer: `fit` of a warm model, for one iteration. Its start is its own."""

    def train(X: Array, y: Array) -> Epoch:
        model = _sklearn_model(task)
        targets = y.ravel() if y.ndim == 2 and y.shape[1] == 1 else y
        return lambda: model.fit(X, targets)

    return train


def predict_sklearn(task: Task) -> Predict:
    """Return `predict` of a model that has seen one batch."""
    rows = max(task.batch_size, 10 * task.sizes[-1])
    small = task._replace(rows=rows, batch_size=min(rows, 200))
    model = _sklearn_model(small).fit(*data_of(small))
    return lambda X: np.asarray(model.predict(X))


# ---------------------------------------------------------------------------------------------- PyTorch


def _torch_network(task: Task) -> Any:
    import torch

    torch.set_num_threads(task.threads)
    activation = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}[task.activation]
    modules: list[Any] = []
    for i, (w, b) in enumerate(parameters_of(task)):
        if i:
            modules.append(activation())
        linear = torch.nn.Linear(*w.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(w.T))
            linear.bias.copy_(torch.from_numpy(b))
        modules.append(linear)
    return torch.nn.Sequential(*modules)


def train_torch(task: Task, compiled: bool = False) -> Train:
    """Return a trainer: the usual loop over tensors in memory, with the fused optimiser and no loader in between."""
    import torch

    network = _torch_network(task)
    optimizer = torch.optim.SGD(network.parameters(), lr=task.lr, momentum=task.momentum, fused=True)
    criterion = torch.nn.CrossEntropyLoss() if task.loss == "cross_entropy" else torch.nn.MSELoss()

    def loss_of(x: Any, t: Any) -> Any:
        return criterion(network(x), t)

    if compiled:
        torch._dynamo.reset()  # else what it learned of an earlier task counts against its limit of recompilations
        loss_of = torch.compile(loss_of)

    def train(X: Array, y: Array) -> Epoch:
        rows, targets = torch.from_numpy(X), torch.from_numpy(y)

        def epoch() -> None:
            order: Any = torch.randperm(len(rows))
            for batch in order.split(task.batch_size):
                optimizer.zero_grad()
                loss_of(rows[batch], targets[batch]).backward()
                optimizer.step()

        return epoch

    return train


def predict_torch(task: Task, compiled: bool = False) -> Predict:
    """Return a predictor without gradients."""
    import torch

    network = _torch_network(task).eval()

    def label(x: Any) -> Any:
        return network(x).argmax(1)

    if compiled:
        torch._dynamo.reset()
        label = torch.compile(label)

    def predict(X: Array) -> Array:
        with torch.inference_mode():
            return np.asarray(label(torch.from_numpy(X)).numpy())

    return predict


# ---------------------------------------------------------------------------------------------- JAX


def _jax_outputs(task: Task) -> Callable[[Any, Any], Any]:
    import jax
    import jax.numpy as jnp

    activation = {"relu": jax.nn.relu, "tanh": jnp.tanh, "sigmoid": jax.nn.sigmoid}[task.activation]

    def outputs(parameters: Any, x: Any) -> Any:
        *hidden, (w, b) = parameters
        for v, c in hidden:
            x = activation(x @ v + c)
        return x @ w + b

    return outputs


def train_jax(task: Task) -> Train:
    """Return a trainer: the whole epoch is one compiled scan over its batches. A last, smaller batch is left out."""
    import jax
    import jax.numpy as jnp

    outputs = _jax_outputs(task)

    def loss_of(parameters: Any, x: Any, t: Any) -> Any:
        z = outputs(parameters, x)
        if task.loss == "cross_entropy":
            return -jnp.take_along_axis(jax.nn.log_softmax(z), t[:, None], axis=1).mean()
        return jnp.square(z - t).mean()

    def train(X: Array, y: Array) -> Epoch:
        rows, targets = jnp.asarray(X), jnp.asarray(y)
        steps = len(X) // task.batch_size

        def step(state: Any, batch: Any) -> Any:
            parameters, velocity = state
            loss, gradient = jax.value_and_grad(loss_of)(parameters, rows[batch], targets[batch])
            if task.momentum:
                gradient = velocity = jax.tree.map(lambda v, g: task.momentum * v + g, velocity, gradient)
            return (jax.tree.map(lambda w, g: w - task.lr * g, parameters, gradient), velocity), loss

        def whole_epoch(state: Any, key: Any) -> Any:
            order = jax.random.permutation(key, len(X))[: steps * task.batch_size]
            return jax.lax.scan(step, state, order.reshape(steps, task.batch_size))

        run = jax.jit(whole_epoch, donate_argnums=0)
        parameters = jax.tree.map(jnp.array, parameters_of(task))
        state: Any = (parameters, jax.tree.map(jnp.zeros_like, parameters) if task.momentum else ())
        key = jax.random.key(0)

        def epoch() -> None:
            nonlocal state, key
            key, now = jax.random.split(key)
            state, losses = run(state, now)
            jax.tree.map(lambda array: array.block_until_ready(), (state, losses))

        return epoch

    return train


def predict_jax(task: Task) -> Predict:
    """Return a compiled predictor."""
    import jax

    outputs = _jax_outputs(task)
    parameters = jax.tree.map(jax.numpy.array, parameters_of(task))
    label = jax.jit(lambda parameters, x: outputs(parameters, x).argmax(1))
    return lambda X: np.asarray(label(parameters, X))


# ---------------------------------------------------------------------------------------------- the sketch


def train_sketch(task: Task, library: str) -> Train:
    """Return a trainer: the C++ sketch of the design, through ctypes. It trains and cannot predict."""
    import ctypes

    lib = ctypes.CDLL(library)
    pointer = ctypes.c_void_p
    lib.net_new.restype = pointer
    lib.net_new.argtypes = [ctypes.c_int, pointer, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_float, ctypes.c_float]
    lib.net_set.argtypes = [pointer, ctypes.c_int, pointer, pointer]
    lib.set_opt.argtypes = [pointer, ctypes.c_int, ctypes.c_int]
    lib.epoch.restype = ctypes.c_double
    lib.epoch.argtypes = [pointer, pointer, pointer, ctypes.c_long, ctypes.c_int, ctypes.c_int]

    sizes = np.array(task.sizes, np.int32)
    activation = ("relu", "tanh", "sigmoid").index(task.activation)
    squared = int(task.loss != "cross_entropy")
    network = lib.net_new(len(sizes) - 1, sizes.ctypes.data, activation, squared, task.batch_size, task.lr, task.momentum)
    lib.set_opt(network, 0, int(task.batch_size < 16))  # small batches: rows where they are, as the sketch wants to be told
    for layer, (w, b) in enumerate(parameters_of(task)):
        lib.net_set(network, layer, w.ctypes.data, b.ctypes.data)

    def train(X: Array, y: Array) -> Epoch:
        targets = y if squared else y.astype(np.int32)
        return lambda: lib.epoch(network, X.ctypes.data, targets.ctypes.data, len(X), task.threads, 1)

    return train


class Engine(NamedTuple):
    """One engine: `module` is what has to be installed for it."""

    module: str
    title: str
    train: Callable[..., Train]
    predict: Callable[..., Predict] | None


ENGINES = {
    OURS: Engine("retrograd", "retrograd", train_retrograd, predict_retrograd),
    "numpy": Engine("numpy", "NumPy", train_numpy, predict_numpy),
    "sklearn": Engine("sklearn", "scikit-learn", train_sklearn, predict_sklearn),
    "torch": Engine("torch", "PyTorch", train_torch, predict_torch),
    "torchcompile": Engine(
        "torch",
        "PyTorch compiled",
        lambda task: train_torch(task, compiled=True),
        lambda task: predict_torch(task, compiled=True),
    ),
    "jax": Engine("jax", "JAX", train_jax, predict_jax),
    "sketch": Engine("ctypes", "sketch", train_sketch, None),
}
