"""One process with joblib, scikit-learn and PyTorch: either order of imports, threads of both, the same bits as alone."""

import importlib.util

import pytest
from helpers import python

# trains and predicts; prints nothing. Text that other programs begin with.
OURS = """
import os
import numpy as np

def train(seed, team=0):
    import retrograd as rg
    rng = np.random.default_rng(seed)
    net = rg.Network([20, 40, 5], loss="cross_entropy", seed=seed)
    net._core.force_team(team)
    trainer = rg.Trainer(net, rg.SGD(0.1, momentum=0.9), batch_size=50)
    trainer.fit(rng.standard_normal((200, 20)), rng.integers(0, 5, 200), epochs=3)
    return net

def bits(net):
    rows = np.random.default_rng(99).standard_normal((300, 20))
    return b"".join(w.tobytes() for w in net.weights) + net.predict_proba(rows).tobytes()
"""

# ---------------------------------------------------------------- joblib

JOBS = (
    OURS
    + """
import joblib
assert train(0, team=2).steps > 0  # this process has threads of its own
expected = [bits(train(seed)) for seed in range(6)]
shared = train(7)
rows = np.random.default_rng(1).standard_normal((50, 20))
answer = shared.predict_proba(rows)
backend = os.environ["BACKEND"]

def one(seed):
    return bits(train(seed, team=2))

def part(net, i):
    return net.predict_proba(rows[i:])

with joblib.parallel_config(backend=backend, n_jobs=3):
    for _ in range(2):
        found = joblib.Parallel()(joblib.delayed(one)(seed) for seed in range(6))
        assert found == expected
        found = joblib.Parallel()(joblib.delayed(part)(shared, i) for i in range(50))
        assert all(np.array_equal(a, answer[i:]) for i, a in enumerate(found))
assert bits(train(0, team=2)) == expected[0]
"""
)


@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_joblib(backend: str) -> None:
    pytest.importorskip("joblib")
    done = python(JOBS, "-Wignore", BACKEND=backend)
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------- other users of OpenMP

THEIRS = {
    "sklearn": """
def theirs():
    from sklearn.cluster import KMeans
    from sklearn.ensemble import HistGradientBoostingClassifier
    X = np.random.default_rng(5).standard_normal((3000, 8))
    y = X[:, 0] > 0
    found = KMeans(4, n_init=2, max_iter=10, random_state=0).fit(X).inertia_
    return HistGradientBoostingClassifier(max_iter=5, max_leaf_nodes=6).fit(X, y).score(X, y) > 0.9 and found > 0
""",
    "torch": """
def theirs():
    import torch
    torch.set_num_threads(2)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(300, 300), torch.nn.Tanh(), torch.nn.Linear(300, 10))
    sgd = torch.optim.SGD(net.parameters(), 0.01)
    X = torch.randn(400, 300)
    for _ in range(3):
        sgd.zero_grad()
        loss = (net(X) ** 2).mean() + torch.exp(torch.randn(200_000)).sum() * 0
        loss.backward()
        sgd.step()
    return bool(torch.isfinite(loss))
""",
}
TOGETHER = """
import threading
from children import forked
for name in os.environ["ORDER"].split():
    __import__(name)

def in_child():
    assert forked(lambda: 0 if bits(train(0, team=2)) == alone else 3, 60) == 0

assert theirs()
alone = bits(train(0))
in_child()  # of a parent whose only threads so far are theirs
alone = bits(train(0, team=2))
assert theirs()
assert bits(train(0, team=3)) == alone and theirs()

thread = threading.Thread(target=lambda: [theirs() for _ in range(4)])  # at the same time
thread.start()
while thread.is_alive():
    assert bits(train(0, team=2)) == alone
thread.join()
in_child()
import hashlib
print(hashlib.sha256(alone).hexdigest())
"""


@pytest.mark.parametrize("library", THEIRS)
def test_in_one_process_with(library: str) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    found = set()
    for order in (f"retrograd {library}", f"{library} retrograd"):
        done = python(OURS + THEIRS[library] + TOGETHER, "-Wignore", ORDER=order, OMP_NUM_THREADS="2")
        assert done.returncode == 0, (order, done.returncode, done.stderr)
        found.add(done.stdout)
    alone = python(OURS + "import hashlib\nprint(hashlib.sha256(bits(train(0))).hexdigest())")
    assert found == {alone.stdout}
