"""Too little memory is a MemoryError that changes nothing, in every call; more than 2^31 numbers are handled.

The limit is the process's address space (RLIMIT_AS). It is raised step by step, so that each allocation of a call fails
once. What a run takes where there is enough: test_memory.py. Sizes that are impossible: test_bad_input.py.
"""

from pathlib import Path

import numpy as np
import pytest
import retrograd as rg
from helpers import inputs, long_tier, network, not_sanitized, parameters, python, same_bits

pytestmark = not_sanitized("the address space cannot be limited")

LIMITED = """
import copy, json, os, resource
import numpy as np, retrograd as rg

def size():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()

def limited(call, room):
    '''The call with so many bytes more than now.'''
    resource.setrlimit(resource.RLIMIT_AS, (size() + room, resource.RLIM_INFINITY))
    try:
        return call()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

rows = 3000
rng = np.random.default_rng(0)
X, y = rng.standard_normal((rows, 300)).astype(np.float32), rng.integers(0, 500, rows)
wide, hot = X.astype(np.float64), np.full((rows, 500), 1 / 500)
net = rg.Network([300, 700, 500], loss="cross_entropy")
other = rg.Network([300, 700, 500], loss="cross_entropy", seed=1)
team = int(os.environ["TEAM"])
net._core.force_team(team)
net.predict(X[:64])
stages = copy.copy(net)
stages._core.force_team(team)

def fresh(momentum=0.9):
    return rg.Trainer(net, rg.SGD(0.0, momentum=momentum), batch_size=3000)

def dx():
    stages._gradients = None
    return stages._core.dx()

calls = {
    "Network": lambda: rg.Network([300, 2000, 500]),
    "fit": lambda: fresh().fit(X, y, epochs=1, validation_data=(X, y)),
    "fit, copied": lambda: fresh().fit(np.asfortranarray(wide), hot, epochs=1),
    "step": lambda: fresh().step(X, y),
    "predict": lambda: net.predict(X),
    "predict_proba": lambda: net.predict_proba(wide),
    "loss": lambda: net.loss(X, y),
    "forward": lambda: stages.forward(X),
    "backward": lambda: stages.backward(hot),
    "backward dz": lambda: stages.backward(dz=wide[:, :1] * hot),
    "dx": dx,
    "apply": lambda: rg.SGD(0.0, momentum=0.9).step(stages),
    "z": lambda: stages.z,
    "weights": lambda: net.weights,
    "set_weights": lambda: net.set_weights([np.array(w, np.float64) for w in other.weights]),
    "copy": lambda: copy.copy(net),
}

def bits():
    return b"".join(p.tobytes() for each in (net, stages) for p in (*each.weights, *each.biases))

before = bits()
for name, call in calls.items():
    if name in ("backward", "backward dz"):
        stages.forward(X)
    if name == "forward":
        stages.forward(X[:10])  # which the next one gives up
    if name in ("dx", "apply", "z"):
        stages.forward(X)
        stages.backward(y)
    failures = 0
    for room in [2**k for k in range(15, 31)]:
        try:
            limited(call, room)
        except MemoryError:
            failures += 1
        except RuntimeError as error:  # a forward pass that found no room leaves none behind
            assert name == "backward" and "forward" in str(error), (name, error)
        else:
            break
        if name == "forward":
            try:
                stages.z
            except RuntimeError:
                pass
            else:
                assert stages.z[0].shape == (10, 700)  # refused before the pass began
        assert bits() == before, name
        assert np.isfinite(net.predict(X[:3])).all()
    else:
        raise AssertionError(name + " never succeeded")
    assert failures > 0, name
    if name == "set_weights":
        assert bits() != before
        before = bits()
    assert bits() == before, name
print("done")
"""


@pytest.mark.parametrize("team", [1, 3])
def test_every_call_with_too_little_memory(team: int) -> None:
    # large blocks always come from the system, so that what was freed before is no reserve
    done = python(LIMITED, TEAM=str(team), MALLOC_MMAP_THRESHOLD_="65536", MALLOC_TRIM_THRESHOLD_="0", MALLOC_ARENA_MAX="1")
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


NO_ROOM_FOR_THREADS = """
import resource
import numpy as np, retrograd as rg

def train():
    net = rg.Network([20, 30, 5])
    net._core.force_team(8)
    trainer = rg.Trainer(net, rg.SGD(0.1))
    trainer.fit(np.ones((50, 20)), np.ones((50, 5)), epochs=2)
    return trainer._core.team(), [w.tobytes() for w in net.weights]

with open("/proc/self/statm") as file:
    size = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (size + 2**24, resource.RLIM_INFINITY))
alone, weights = train()
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert alone == 1, alone
assert train() == (8, weights)
"""


def test_a_team_that_cannot_start_runs_alone() -> None:
    done = python(NO_ROOM_FOR_THREADS)  # OpenMP by itself would end the process
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- more than 2^31


def test_more_than_2_to_the_31_numbers_in_overlapping_rows() -> None:
    values = inputs(1, 2**19 + 4096)[0].astype(np.float32)
    X = np.lib.stride_tricks.sliding_window_view(values, 4096)  # each row begins one number after the last
    assert X.size > 2**31 and X.strides == (4, 4)
    net = network([4096, 2])
    found = net.predict(X)
    for rows in (slice(0, 40), slice(2**18, 2**18 + 40), slice(-40, None)):
        assert same_bits(found[rows], net.predict(X[rows].copy()))
    values[-1] = np.nan
    with pytest.raises(ValueError, match=rf"got nan at row {2**19}, column 4095$"):
        net.predict(X)


@long_tier
def test_a_memory_mapped_array_of_more_than_2_to_the_31_numbers(tmp_path: Path) -> None:
    rows, cols, part = 2**20 + 5000, 2048, 524_000
    X = np.memmap(tmp_path / "x", np.uint8, "w+", shape=(rows, cols))  # a sparse file: zeros take no room on the disk
    assert X.size > 2**31
    rng = np.random.default_rng(0)
    for start in (0, part, rows - 5000):
        X[start : start + 5000] = rng.integers(0, 256, (5000, cols))
    y = rng.integers(0, 3, rows)
    nets = [rg.Network([cols, 8, 3], activation="tanh", loss="cross_entropy") for _ in range(2)]
    trainers = [rg.Trainer(net, rg.SGD(1e-5, momentum=0.9), batch_size=500, shuffle=False) for net in nets]
    trainers[0].fit(X, y, epochs=1)
    for begin, end in ((0, part), (part, rows)):  # the same steps, each call on fewer than 2^31 numbers
        trainers[1].fit(X[begin:end], y[begin:end], epochs=1)
    assert same_bits(parameters(nets[0]), parameters(nets[1]))
    found = nets[0].predict_proba(X)
    for near in (slice(0, 300), slice(part, part + 300), slice(rows - 300, rows)):
        assert same_bits(found[near], nets[0].predict_proba(np.array(X[near])))
    assert np.ptp(found[-300:, 0]) > 0  # they are no zeros
    trainers[0].shuffle = True
    assert np.isfinite(trainers[0].fit(X, y, epochs=1).loss).all()
