"""What memory a run takes: parameters and velocity once, one snapshot of the weights, one batch, and no copy of X."""

import numpy as np
import pytest
from helpers import not_sanitized, python

pytestmark = not_sanitized("a process takes more memory than it asks for")

# The peak of a process that trains, less that of the same process before it made the network, in bytes, beside the sum of
# what the run has to hold.
RUN = """
import os
import numpy as np
import retrograd as rg

def peak():
    with open("/proc/self/status") as file:
        return 1024 * next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))

kind, rows, batch, *sizes = os.environ["RUN"].split()
rows, batch, sizes = int(rows), int(batch), [int(size) for size in sizes]
X = np.ones((rows, sizes[0]), kind)
y = np.zeros(rows, np.int64)
rg.Trainer(rg.Network([4, 3], loss="cross_entropy"), rg.SGD(0.1)).fit(np.ones((8, 4)), np.zeros(8, int), epochs=1)
before = peak()
net = rg.Network(sizes, loss="cross_entropy")
trainer = rg.Trainer(net, rg.SGD(1e-6, momentum=0.9), batch_size=batch, n_threads=2, advice=False)
trainer.fit(X, y, epochs=1)
net.predict(X[:100])
weights = sum(a * b + b for a, b in zip(sizes, sizes[1:]))
units = sum(sizes)
# parameters, velocity, snapshot; activations, transposed deltas, two deltas of the widest layer
must = 4 * (3 * weights + batch * (2 * units + 2 * max(sizes)))
print(peak() - before, must)
"""


def used_and_must(run: str) -> tuple[int, int]:
    done = python(RUN, RUN=run)
    assert done.returncode == 0, done.stderr
    used, must = done.stdout.split()
    return int(used), int(must)


@pytest.mark.parametrize(("kind", "rows"), [("float32", 2048), ("float64", 1024), ("uint8", 6144)])
def test_the_peak_is_what_the_run_must_hold(kind: str, rows: int) -> None:
    used, must = used_and_must(f"{kind} {rows} 128 3000 2500 200 10")
    assert used < 1.1 * must, (used, must)
    assert used > 0.9 * must, (used, must)  # the sum counts nothing that is not there
    assert np.dtype(kind).itemsize * rows * 3000 > 0.15 * must  # a copy of X would show
