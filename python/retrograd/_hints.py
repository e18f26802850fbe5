"""What to write instead: for attributes and arguments that people expect here, from other packages or by a slip.

These are tables of text alone; _careful.py reads them. A key with "=" is for assigning an attribute that may be read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

# ---------------------------------------------------------------- attributes, by class

_DROPOUT = "it is fixed when the network is made: rg.Network(..., dropout=0.5), or rg.Dense(units, dropout=0.5) for a layer"
_SAVE = "pickle.dump(net, file) keeps all of it; net.state_dict() has the weights alone"

ATTRIBUTES: dict[str, dict[str, str]] = {
    "retrograd": {
        "Sequential": "rg.Network([784, 128, 10])",
        "MLP": "rg.Network([784, 128, 10])",
        "MLPClassifier": 'rg.Network([784, 128, 10], loss="cross_entropy") and rg.Trainer(net, rg.Adam()).fit(X, y, epochs=10)',
        "MLPRegressor": "rg.Network([784, 128, 1]) and rg.Trainer(net, rg.Adam()).fit(X, y, epochs=10)",
        "Model": "rg.Network([784, 128, 10])",
        "NeuralNetwork": "rg.Network([784, 128, 10])",
        "Linear": "rg.Dense(units, \"identity\")",
        "Layer": "rg.Dense(units)",
        "Dropout": "rg.Dense(units, dropout=0.5), or rg.Network(..., dropout=0.5)",
        "BatchNorm": 'rg.Dense(units, norm="batch")',
        "BatchNormalization": 'rg.Dense(units, norm="batch")',
        "LayerNorm": 'rg.Dense(units, norm="layer")',
        "Input": "the number of inputs comes first: rg.Network([784, 128, 10])",
        "ModelCheckpoint": "rg.EarlyStopping keeps the best weights in memory",
        "ReduceLROnPlateau": "rg.schedules.ReduceOnPlateau()",
        "LearningRateScheduler": "rg.Trainer(net, optimizer, schedule=lambda epoch: ...)",
        "optim": "the optimisers are rg.SGD, rg.Adam, ...",
        "nn": "rg.Network([784, 128, 10])",
        "fit": "rg.Trainer(net, rg.Adam()).fit(X, y, epochs=10)",
        "train": "rg.Trainer(net, rg.Adam()).fit(X, y, epochs=10)",
        "load": "pickle.load(file) has a network or a trainer that was saved by pickle.dump",
        "save": "pickle.dump(net, file)",
        "seed": "it is the network's: rg.Network(..., seed=1)",
        "train_test_split": "trainer.fit(X, y, epochs=10, validation_split=0.2)",
        "reference": "import retrograd.reference",
        "datasets": "import retrograd.datasets",
        "data": "import retrograd.datasets",
        "load_digits": "from retrograd.datasets import load_digits",
    },
    "Network": {
        "fit": "training is the trainer's: rg.Trainer(net, rg.Adam()).fit(X, y, epochs=10)",
        "compile": "there is nothing to compile: rg.Trainer(net, rg.Adam()).fit(X, y, epochs=10)",
        "train": "training is the trainer's: rg.Trainer(net, rg.Adam()).fit(X, y, epochs=10)",
        "eval": "there is no such mode: predict and loss never drop anything, and forward only with training=True",
        "zero_grad": "gradients are not added up: each backward pass writes new ones",
        "partial_fit": "one step on a batch is trainer.step(X, y), several epochs are trainer.fit(X, y, epochs=10)",
        "evaluate": "net.loss(X, y) gives the loss, rg.Trainer(net, ...).evaluate(X, y) the loss and metrics",
        "score": "rg.metrics.accuracy(y, net.predict(X)), or rg.metrics.r2 for numbers",
        "accuracy": "rg.metrics.accuracy(y, net.predict(X))",
        "parameters": "they are in net.weights and net.biases, one array for each layer",
        "named_parameters": "they are in net.weights and net.biases, one array for each layer",
        "get_weights": "net.weights and net.biases have copies, net.state_dict() has everything that is learned",
        "coefs_": "net.weights",
        "intercepts_": "net.biases",
        "bias": "net.biases, one array for each layer",
        "weight": "net.weights, one array for each layer",
        "weights=": "net.set_weights(weights, biases)",
        "biases=": "net.set_weights(net.weights, biases)",
        "dw": "backward returns the gradients: gradients = net.backward(y), then gradients.dw",
        "db": "backward returns the gradients: gradients = net.backward(y), then gradients.db",
        "grad": "backward returns the gradients: gradients = net.backward(y), then gradients.dw and gradients.db",
        "gradients": "backward returns them: gradients = net.backward(y), then gradients.dw and gradients.db",
        "summary": "print(net)",
        "loss=": 'the loss is fixed when the network is made: rg.Network(..., loss="mae")',
        "loss_name=": 'the loss is fixed when the network is made: rg.Network(..., loss="mae")',
        "loss_function=": 'the loss is fixed when the network is made: rg.Network(..., loss="mae")',
        "dropout": _DROPOUT,
        "input_dropout=": "it is fixed when the network is made: rg.Network(..., input_dropout=0.1)",
        "input_noise=": "it is fixed when the network is made: rg.Network(..., input_noise=0.1)",
        "activation": 'net.activations has them; they are fixed when the network is made: rg.Network(..., activation="tanh")',
        "activations=": 'they are fixed when the network is made: rg.Network(..., activation="tanh")',
        "output_activation": 'net.activations[-1], fixed when the network is made: rg.Network(..., output_activation="tanh")',
        "layers=": "the layers are fixed when the network is made: rg.Network([784, 128, 10])",
        "sizes=": "the layers are fixed when the network is made: rg.Network([784, 128, 10])",
        "seed=": "the seed is fixed when the network is made: rg.Network(..., seed=1)",
        "dtype=": 'the type is fixed when the network is made: rg.Network(..., dtype="float64")',
        "init": "the start is fixed when the network is made, rg.Network(..., init=...); net.set_weights changes weights later",
        "to": 'the type is fixed when the network is made: rg.Network(..., dtype="float64"); there are no devices but the CPU',
        "lr": "the rate is the optimiser's: optimizer.lr",
        "learning_rate": "the rate is the optimiser's: optimizer.lr",
        "optimizer": "the optimiser is the trainer's: rg.Trainer(net, rg.Adam())",
        "n_threads": "n_threads= is an argument of each call, and of rg.Trainer(..., n_threads=2)",
        "batch_size": "the size is the trainer's: rg.Trainer(net, optimizer, batch_size=64)",
        "n_layers_": "net.depth",
        "save": _SAVE,
        "save_weights": _SAVE,
        "load": "pickle.load(file), or net.load_state_dict(state)",
        "history": "the trainer has it: trainer.history, and fit returns it",
        "append": "the layers are given together: rg.Network([784, 128, 10])",
        "add": "the layers are given together: rg.Network([784, 128, 10])",
    },
    "Trainer": {
        "lr": "the rate is trainer.optimizer.lr",
        "learning_rate": "the rate is trainer.optimizer.lr",
        "momentum": "it is trainer.optimizer.momentum",
        "weight_decay": "it is trainer.optimizer.weight_decay",
        "clip_norm": "it is trainer.optimizer.clip_norm",
        "history_": "trainer.history",
        "loss_curve_": "trainer.history.loss",
        "losses": "trainer.history.loss",
        "loss": "trainer.history.loss has that of each epoch, trainer.network.loss(X, y) computes it",
        "net": "trainer.network",
        "model": "trainer.network",
        "network=": "a trainer trains one network: make another one, rg.Trainer(network, optimizer)",
        "weights_": "trainer.network.weights",
        "epochs": "it is an argument of fit: trainer.fit(X, y, epochs=10); trainer.epochs_done counts those that are done",
        "epoch": "trainer.epochs_done",
        "early_stopping": "it is an argument of fit: trainer.fit(X, y, epochs=100, early_stopping=rg.EarlyStopping())",
        "patience": "it is an argument of fit: trainer.fit(X, y, epochs=100, early_stopping=rg.EarlyStopping(patience=5))",
        "metrics": "it is an argument of fit: trainer.fit(X, y, epochs=10, validation_split=0.2, metrics=[\"f1\"])",
        "validation_split": "it is an argument of fit: trainer.fit(X, y, epochs=10, validation_split=0.2)",
        "predict": "trainer.network.predict(X)",
        "predict_proba": "trainer.network.predict_proba(X)",
        "train": "trainer.fit(X, y, epochs=10)",
        "partial_fit": "trainer.step(X, y)",
        "train_on_batch": "trainer.step(X, y)",
        "score": "trainer.evaluate(X, y)",
        "scheduler": "it is trainer.schedule",
        "callback": "it is trainer.callbacks, a list",
        "save": "pickle.dump(trainer, file) keeps all of it; trainer.state_dict() has what is needed to go on",
        "seed": "it is the network's: rg.Network(..., seed=1)",
        "dropout": _DROPOUT,
    },
    "Optimizer": {
        "learning_rate": "the rate is optimizer.lr",
        "eta": "the rate is optimizer.lr",
        "alpha": "the rate is optimizer.lr",
        "rate": "the rate is optimizer.lr",
        "learning_rate_init": "the rate is optimizer.lr",
        "beta_1": "optimizer.betas = (beta1, beta2)",
        "beta1": "optimizer.betas = (beta1, beta2)",
        "beta_2": "optimizer.betas = (beta1, beta2)",
        "beta2": "optimizer.betas = (beta1, beta2)",
        "epsilon": "optimizer.eps",
        "rho": "optimizer.alpha",
        "decay": "of weights it is weight_decay, of the rate rg.Trainer(..., schedule=rg.schedules.Exponential(0.95))",
        "l2": "optimizer.weight_decay (twice the factor of the sum of squares)",
        "l1": "groups=[rg.Group(l1=1e-4)]",
        "clipnorm": "optimizer.clip_norm",
        "clipvalue": "optimizer.clip_value",
        "max_norm": "it belongs to a layer, rg.Dense(units, max_norm=3); clip_norm is for gradients",
        "schedule": "it is the trainer's: rg.Trainer(net, optimizer, schedule=...)",
        "param_groups": "optimizer.lr for all, optimizer.groups for some: [rg.Group(layers=0, lr_factor=0.1)]",
        "zero_grad": "gradients are not added up: each backward pass writes new ones",
        "minimize": "optimizer.step(net) after net.forward(X) and net.backward(y)",
        "apply_gradients": "optimizer.step(net) after net.forward(X) and net.backward(y)",
        "update": "optimizer.step(net) after net.forward(X) and net.backward(y)",
        "state": "optimizer.state_dict()",
        "steps=": "it counts the steps; load_state_dict changes it",
        "step=": "it takes a step; optimizer.steps counts them",
    },
    "Gradients": {
        "dW": "gradients.dw",
        "dB": "gradients.db",
        "grad": "gradients.dw and gradients.db",
        "weights": "gradients.dw",
        "biases": "gradients.db",
        "dX": "gradients.dx",
        "deltas": "gradients.delta",
    },
    "History": {
        "history": "the lists are attributes: history.loss, history.val_loss, history.metrics[\"val_f1\"]; to_dict() has all",
        "accuracy": 'history.metric, or history.column("accuracy")',
        "val_accuracy": 'history.val_metric, or history.column("val_accuracy")',
        "acc": 'history.metric, or history.column("accuracy")',
        "val_acc": 'history.val_metric, or history.column("val_accuracy")',
        "mae": 'history.metric, or history.column("mae")',
        "val_mae": 'history.val_metric, or history.column("val_mae")',
        "losses": "history.loss",
        "train_loss": "history.loss",
        "test_loss": "history.val_loss",
        "epochs": "history.epoch has their numbers, len(history) says how many",
        "time": "history.seconds",
        "params": "history has figures alone",
        "to_csv": "history.to_pandas().to_csv(path), or rg.CSVLogger(path) as a callback",
        "save": "open(path, \"w\").write(history.to_json())",
        "best_loss": "history.val_loss[history.best_index]",
    },
    "Dense": {
        "weights": "the network has them: net.weights[layer]",
        "bias": "the network has them: net.biases[layer]",
        "input_shape": "the sizes are the network's: rg.Network([784, rg.Dense(128), 10])",
        "n_units": "dense.units",
    },
    "EarlyStopping": {
        "best": "history.best_epoch is the best epoch; this object has settings alone",
        "best_score": "history.best_epoch is the best epoch; this object has settings alone",
        "restore_best_weights": "early_stopping.restore_best",
    },
    "Callback": {
        "model": "the trainer is an argument of each method: trainer.network",
        "params": "the trainer is an argument of each method",
    },
}

# ---------------------------------------------------------------- arguments, by function or class

_EPOCHS = "it belongs to fit: trainer.fit(X, y, epochs=10)"
_SIZE = "it belongs to the trainer: rg.Trainer(net, optimizer, batch_size=64)"
_OPTIMISER = "the optimiser is the trainer's: rg.Trainer(net, rg.Adam(lr=1e-3))"
_TRAINING = "training is the trainer's: rg.Trainer(net, rg.Adam()).fit(X, y, epochs=10)"
_STOPPING = "write early_stopping=rg.EarlyStopping(patience=10)"
_VERBOSE = "it belongs to the trainer: rg.Trainer(net, optimizer, verbose=True)"
_CALLBACKS = "they belong to the trainer: rg.Trainer(net, optimizer, callbacks=[...])"
_SCHEDULE = "it belongs to the trainer: rg.Trainer(net, optimizer, schedule=rg.schedules.Cosine())"
_DECAY_L2 = "it is the optimiser's: rg.AdamW(weight_decay=0.01)"
_SHUFFLE = "it belongs to the trainer: rg.Trainer(net, optimizer, shuffle=False)"
_THREADS = "it is n_threads="
_SIZES = "the layers are one list, inputs first and outputs last: rg.Network([784, 128, 10])"
_LAYER_SIZES = "the sizes are the network's, inputs first: rg.Network([784, rg.Dense(128), 10])"
_METRICS_OF_FIT = 'it belongs to fit: trainer.fit(X, y, epochs=10, validation_split=0.2, metrics=["f1"])'
_DEVICE = "there are no devices but the CPU"

ARGUMENTS: dict[str, dict[str, str]] = {
    "Network": {
        "no layers": _SIZES,
        "hidden_layer_sizes": _SIZES,
        "sizes": _SIZES,
        "input_shape": _SIZES,
        "input_dim": _SIZES,
        "hidden": _SIZES,
        "units": _SIZES,
        "activations": 'write activation="tanh" for the hidden layers, or rg.Dense(128, "tanh") for one of them',
        "hidden_activation": 'it is activation=, and output_activation= for the last layer',
        "out_activation": "it is output_activation=",
        "last_activation": "it is output_activation=",
        "final_activation": "it is output_activation=",
        "optimizer": _OPTIMISER,
        "solver": _OPTIMISER,
        "lr": _OPTIMISER,
        "learning_rate": _OPTIMISER,
        "learning_rate_init": _OPTIMISER,
        "momentum": "it is the optimiser's: rg.SGD(lr=0.1, momentum=0.9)",
        "alpha": _DECAY_L2,
        "l2": _DECAY_L2,
        "weight_decay": _DECAY_L2,
        "l1": "it is the optimiser's: rg.Adam(groups=[rg.Group(l1=1e-4)])",
        "batch_size": _SIZE,
        "epochs": _TRAINING,
        "max_iter": _TRAINING,
        "metrics": _METRICS_OF_FIT,
        "early_stopping": f"it belongs to fit; there {_STOPPING}",
        "shuffle": _SHUFFLE,
        "verbose": _VERBOSE,
        "n_threads": "it belongs to each call, and to the trainer: rg.Trainer(net, optimizer, n_threads=2)",
        "random_state": "it is seed=",
        "criterion": 'it is loss="cross_entropy"',
        "loss_function": 'it is loss="cross_entropy"',
        "initializer": "it is init=",
        "weight_init": "it is init=",
        "kernel_initializer": "it is init=",
        "weights": "it is init=(weights, biases)",
        "biases": "it is init=(weights, biases)",
        "norm": 'it belongs to a layer: rg.Dense(128, norm="batch")',
        "batch_norm": 'it belongs to a layer: rg.Dense(128, norm="batch")',
        "max_norm": "it belongs to a layer: rg.Dense(128, max_norm=3)",
        "bias": "it belongs to a layer: rg.Dense(128, bias=False)",
        "device": _DEVICE,
    },
    "Dense": {
        "no units": "rg.Dense(128)",
        "input_shape": _LAYER_SIZES,
        "input_dim": _LAYER_SIZES,
        "in_features": _LAYER_SIZES,
        "out_features": "it is units: rg.Dense(128)",
        "kernel_initializer": "it is init=",
        "use_bias": "it is bias=",
        "batch_norm": 'it is norm="batch"',
        "layer_norm": 'it is norm="layer"',
        "kernel_constraint": "it is max_norm=",
        "kernel_regularizer": "it is the optimiser's: rg.Adam(groups=[rg.Group(layers=0, weight_decay=1e-4)])",
        "weight_decay": "it is the optimiser's: rg.Adam(groups=[rg.Group(layers=0, weight_decay=1e-4)])",
        "l1": "it is the optimiser's: rg.Adam(groups=[rg.Group(layers=0, l1=1e-4)])",
        "lr": "it is the optimiser's: rg.Adam(groups=[rg.Group(layers=0, lr_factor=0.1)])",
        "name": "layers have no names, but numbers: net.weights[0]",
    },
    "Trainer": {
        "no network": "rg.Trainer(net, rg.Adam())",
        "no optimizer": "rg.Trainer(net, rg.Adam()), or rg.SGD(lr=0.1, momentum=0.9)",
        "lr": "it is the optimiser's: rg.Trainer(net, rg.Adam(lr=1e-3))",
        "learning_rate": "it is the optimiser's: rg.Trainer(net, rg.Adam(lr=1e-3))",
        "momentum": "it is the optimiser's: rg.Trainer(net, rg.SGD(lr=0.1, momentum=0.9))",
        "weight_decay": "it is the optimiser's: rg.Trainer(net, rg.AdamW(weight_decay=0.01))",
        "clip_norm": "it is the optimiser's: rg.Trainer(net, rg.Adam(clip_norm=1.0))",
        "epochs": _EPOCHS,
        "max_iter": _EPOCHS,
        "n_epochs": _EPOCHS,
        "loss": 'it is the network\'s: rg.Network([784, 128, 10], loss="cross_entropy")',
        "criterion": 'it is the network\'s: rg.Network([784, 128, 10], loss="cross_entropy")',
        "loss_fn": 'it is the network\'s: rg.Network([784, 128, 10], loss="cross_entropy")',
        "metrics": _METRICS_OF_FIT,
        "validation_data": "it belongs to fit: trainer.fit(X, y, epochs=10, validation_data=(X_val, y_val))",
        "validation_split": "it belongs to fit: trainer.fit(X, y, epochs=10, validation_split=0.2)",
        "early_stopping": "it belongs to fit: trainer.fit(X, y, epochs=100, early_stopping=rg.EarlyStopping())",
        "patience": "it belongs to fit: trainer.fit(X, y, epochs=100, early_stopping=rg.EarlyStopping(patience=5))",
        "tol": "it belongs to fit: trainer.fit(X, y, epochs=100, tol=1e-4)",
        "class_weight": 'it belongs to fit: trainer.fit(X, y, epochs=10, class_weight="balanced")',
        "sample_weight": "it belongs to fit: trainer.fit(X, y, epochs=10, sample_weight=w)",
        "seed": "it is the network's: rg.Network(..., seed=1)",
        "random_state": "it is the network's: rg.Network(..., seed=1)",
        "dropout": "it is the network's: rg.Network(..., dropout=0.5)",
        "scheduler": "it is schedule=rg.schedules.Cosine()",
        "lr_scheduler": "it is schedule=rg.schedules.Cosine()",
        "callback": "it is callbacks=[...]",
        "threads": _THREADS,
        "num_threads": _THREADS,
        "n_jobs": _THREADS,
        "X": "data belong to fit: trainer.fit(X, y, epochs=10)",
        "device": _DEVICE,
        "max_epochs": _EPOCHS,
        "logger": 'they are callbacks: callbacks=[rg.CSVLogger("run.csv")]',
    },
    "Trainer.fit": {
        "no epochs": "trainer.fit(X, y, epochs=10)",
        "no X": "trainer.fit(X, y, epochs=10)",
        "no y": "trainer.fit(X, y, epochs=10)",
        "n_epochs": "it is epochs=",
        "nb_epoch": "it is epochs=",
        "epoch": "it is epochs=",
        "max_iter": "it is epochs=",
        "num_epochs": "it is epochs=",
        "batch_size": _SIZE,
        "shuffle": _SHUFFLE,
        "lr": "the rate is the optimiser's: trainer.optimizer.lr = 0.01, or rg.Adam(lr=0.01) from the start",
        "learning_rate": "the rate is the optimiser's: trainer.optimizer.lr = 0.01, or rg.Adam(lr=0.01) from the start",
        "optimizer": "it is the trainer's: rg.Trainer(net, rg.Adam())",
        "loss": 'it is the network\'s: rg.Network([784, 128, 10], loss="cross_entropy")',
        "callbacks": _CALLBACKS,
        "callback": _CALLBACKS,
        "verbose": _VERBOSE,
        "progress": "it belongs to the trainer: rg.Trainer(net, optimizer, progress=False)",
        "n_threads": "it belongs to the trainer: rg.Trainer(net, optimizer, n_threads=2)",
        "n_jobs": "it belongs to the trainer: rg.Trainer(net, optimizer, n_threads=2)",
        "schedule": _SCHEDULE,
        "scheduler": _SCHEDULE,
        "eval_set": "it is validation_data=(X_val, y_val)",
        "X_val": "it is validation_data=(X_val, y_val)",
        "validation": "it is validation_data=(X_val, y_val), or validation_split=0.2",
        "val_data": "it is validation_data=(X_val, y_val)",
        "validation_fraction": "it is validation_split=0.2",
        "test_size": "it is validation_split=0.2",
        "early_stop": _STOPPING,
        "early_stopping_rounds": _STOPPING,
        "n_iter_no_change": "it is tol=1e-4, patience=10",
        "min_delta": "write early_stopping=rg.EarlyStopping(min_delta=1e-4), or tol=1e-4 for the training loss",
        "class_weights": 'it is class_weight="balanced", or a dict from label to weight',
        "sample_weights": "it is sample_weight=, a number for each row",
        "weights": "it is sample_weight=, a number for each row",
        "weight": "it is sample_weight=, a number for each row",
        "initial_epoch": "the trainer counts by itself: fit goes on where the last one ended",
        "steps_per_epoch": "an epoch is all rows once; trainer.step(X, y) takes a single step",
        "validation_freq": "validation comes after each epoch",
        "seed": "it is the network's: rg.Network(..., seed=1)",
        "random_state": "it is the network's: rg.Network(..., seed=1)",
        "drop_last": "it belongs to the trainer: rg.Trainer(net, optimizer, drop_last=True)",
    },
    "Optimizer": {
        "no lr": "rg.SGD(lr=0.1); the rate has no default here, because the right one depends on the data and the momentum",
        "learning_rate": "it is lr=",
        "learning_rate_init": "it is lr=",
        "eta": "it is lr=",
        "rate": "it is lr=",
        "params": "the trainer, or step(net), names the network: rg.Trainer(net, rg.Adam(lr=1e-3))",
        "beta_1": "it is betas=(0.9, 0.999)",
        "beta_2": "it is betas=(0.9, 0.999)",
        "beta1": "it is betas=(0.9, 0.999)",
        "beta2": "it is betas=(0.9, 0.999)",
        "epsilon": "it is eps=",
        "rho": "it is alpha=",
        "decay": "of weights it is weight_decay=, of the rate rg.Trainer(..., schedule=rg.schedules.Exponential(0.95))",
        "l2": "it is weight_decay= (twice the factor of the sum of squares)",
        "l1": "it is groups=[rg.Group(l1=1e-4)]",
        "clipnorm": "it is clip_norm=",
        "clipvalue": "it is clip_value=",
        "grad_clip": "it is clip_norm= or clip_value=",
        "global_clipnorm": "it is clip_norm=",
        "nesterovs_momentum": "it is nesterov=True",
        "batch_size": _SIZE,
        "epochs": _EPOCHS,
        "schedule": _SCHEDULE,
        "maximize": "turn the sign of the gradient: net.backward(dz=-dz)",
    },
    "EarlyStopping": {
        "restore_best_weights": "it is restore_best=True",
        "start_from_epoch": "it is from_epoch=",
        "tol": "it is min_delta=",
        "delta": "it is min_delta=",
        "n_iter_no_change": "it is patience=",
        "metric": 'it is monitor="val_loss"',
        "epochs": "it is patience=",
        "verbose": "history.stopped_early and history.best_epoch tell",
        "maximize": 'it is mode="max"',
    },
}


def _fit_by_position(given: tuple[Any, ...]) -> str:
    third = given[2]
    name = "validation_data=(X_val, y_val)" if isinstance(third, tuple) else "epochs=10"
    if isinstance(third, int) and not isinstance(third, bool):
        name = f"epochs={third}"
    return f"Trainer.fit: expected X and y by position and all else by name: trainer.fit(X, y, {name})"


def _network_by_position(given: tuple[Any, ...]) -> str:
    sizes = [repr(one) if isinstance(one, int) else "..." for one in given if not isinstance(one, str)]
    line = ", ".join(sizes) if all(isinstance(one, int) for one in given) else "784, 128, 10"
    return f"Network: expected the layers as one list and all else by name: rg.Network([{line}])"


def _trainer_by_position(given: tuple[Any, ...]) -> str:
    hint = "rg.Trainer(net, optimizer, batch_size=32).fit(X, y, epochs=10)"
    return f"Trainer: expected network and optimizer by position and all else by name: {hint}"


# What a call with too many arguments by position should have been.
POSITIONAL: dict[str, Callable[[tuple[Any, ...]], str]] = {
    "Trainer.fit": _fit_by_position,
    "Network": _network_by_position,
    "Trainer": _trainer_by_position,
}


def a_list_of_activations(given: Sequence[Any], layers: Sequence[Any]) -> str:
    """What to write for `activation=[...]`: each layer names its own."""
    if not all(isinstance(one, int) for one in layers):
        return 'each layer names its own: rg.Dense(128, "tanh")'
    pairs = zip_longest(layers[1:], given[: len(layers) - 1])
    written = ", ".join(f'rg.Dense({size}, "{name}")' if name else f"{size}" for size, name in pairs)
    return f"each layer names its own: rg.Network([{layers[0]}, {written}])"
