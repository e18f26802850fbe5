"""The picture of a campaign: ratios by workload, and the share of peak over widths and batches."""

from __future__ import annotations

import pathlib
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from engines import ENGINES, OURS
from matplotlib.axes import Axes

COLOURS = {
    "numpy": "#4c78a8",
    "sklearn": "#f2a03d",
    "torch": "#d9534f",
    "torchcompile": "#a0307a",
    "jax": "#4f9d69",
    "sketch": "#8a8a8a",
}


def draw(document: dict[str, Any], path: pathlib.Path) -> None:
    """Draw what a document of compare.py holds.

    Parameters
    ----------
    document : dict
    path : path
        Of the PNG file.
    """
    panels: list[tuple[str, int]] = []
    for what in ("train", "predict", "sweep"):
        panels += [(what, threads) for threads in sorted({entry["threads"] for entry in document.get(what, [])})]
    if not panels:
        return
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    kinds = [[what for what, _ in panels[columns * r : columns * (r + 1)]] for r in range(rows)]
    heights = [8.5 if "sweep" in kind else 4.0 for kind in kinds]
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(9.5 * columns, sum(heights)),
        squeeze=False,
        layout="constrained",
        gridspec_kw={"height_ratios": heights},
    )
    for axis, (what, threads) in zip(axes.flat, panels, strict=False):
        entries = [entry for entry in document[what] if entry["threads"] == threads]
        if what == "sweep":
            _shares(axis, entries, threads)
        else:
            _ratios(axis, entries, what, threads)
    for axis in axes.flat[len(panels) :]:
        axis.axis("off")
    here = document["machine"]
    figure.suptitle(f"retrograd {here['retrograd']} ({here['isa']}) on {here['cpu']}, {here['cpus']} CPUs, {here['date']}")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _ratios(axis: Axes, entries: list[dict[str, Any]], what: str, threads: int) -> None:
    """Bars: each peer's time by ours, on a log scale; whiskers from the lowest round to the highest."""
    names = [name for name in ENGINES if name != OURS and any(name in entry["ratios"] for entry in entries)]
    width = 0.85 / max(1, len(names))
    for i, name in enumerate(names):
        found = [(x, entry["ratios"][name]) for x, entry in enumerate(entries) if name in entry["ratios"]]
        x = np.array([x for x, _ in found]) + (i - (len(names) - 1) / 2) * width
        median, low, high = (np.array([r[key] for _, r in found]) for key in ("median", "min", "max"))
        whiskers = np.array([median - low, high - median])
        axis.bar(x, median - 1, width, bottom=1, color=COLOURS[name], label=ENGINES[name].title)
        axis.errorbar(x, median, yerr=whiskers, fmt="none", ecolor="#333333", elinewidth=0.8)
    axis.set_yscale("log")
    axis.axhline(1, color="black", linewidth=1)
    labels = [entry["workload"] + (f"\n{entry['batch']} rows" if what == "predict" else "") for entry in entries]
    axis.set_xticks(range(len(entries)), labels)
    axis.set_ylabel("peer's time / ours")
    doing = "training" if what == "train" else "prediction"
    axis.set_title(f"{doing}, {threads} thread{'s' * (threads > 1)}; above 1: retrograd is faster")
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}x")
    axis.grid(axis="y", which="both", alpha=0.25)
    axis.set_axisbelow(True)
    if names:
        axis.legend(fontsize=8, ncols=3)


def _shares(axis: Axes, points: list[dict[str, Any]], threads: int) -> None:
    """A map of the share of peak; points that were not measured stay white."""
    widths = sorted({point["width"] for point in points})
    batches = sorted({point["batch"] for point in points})
    shares = np.full((len(widths), len(batches)), np.nan)
    for point in points:
        if "share_of_peak" in point:
            shares[widths.index(point["width"]), batches.index(point["batch"])] = 100 * point["share_of_peak"]
    image = axis.imshow(shares, origin="lower", aspect="auto", cmap="viridis", vmin=0, vmax=100)
    axis.figure.colorbar(image, ax=axis, label="% of peak")
    axis.set_xticks(range(len(batches)), [str(b) for b in batches], rotation=90, fontsize=7)
    axis.set_yticks(range(len(widths)), [str(w) for w in widths], fontsize=7)
    axis.set_xlabel("batch")
    axis.set_ylabel("width w of the network [w, w, w]")
    axis.set_title(f"share of the multiply-add peak, fastest step, {threads} thread{'s' * (threads > 1)}")
