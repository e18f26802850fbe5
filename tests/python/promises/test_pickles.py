"""Pickles carry a format and a version. Those of a format that is known load for ever; others are refused by name.

That copies and pickles go on to the last bit is held beside each class.
"""

import copy
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retrograd as rg
from helpers import same_bits
from retrograd._pickles import FORMAT

FOLDER = Path(__file__).parents[1] / "pickles"
sys.path.insert(0, str(FOLDER))
import zoo  # noqa: E402

sys.path.pop(0)

OBJECTS = zoo.objects()
SETTINGS = {type(one).__name__: one for one in OBJECTS["settings"]}
ALL: dict[str, Any] = {
    "Network": OBJECTS["network"],
    "SGD": OBJECTS["optimizer"],
    "Trainer": OBJECTS["trainer"],
    "History": OBJECTS["history"],
    **SETTINGS,
}


def restored(one: Any, state: Any) -> Any:
    twin = type(one).__new__(type(one))
    twin.__setstate__(state)
    return twin


@pytest.mark.parametrize("path", sorted(FOLDER.glob("format*.pickle")), ids=lambda path: path.stem)
def test_the_pickles_of_every_format_load_and_answer_as_they_did(path: Path) -> None:
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    found = zoo.answers(pickle.loads(path.read_bytes()))
    assert set(found) >= set(expected)
    for name, value in expected.items():
        if name == "settings":
            continue  # a later version may show more
        # the bits are the same on every CPU that has fused multiply-add; others are close
        np.testing.assert_allclose(found[name], value, rtol=1e-3 if name == "network" else 1e-9, err_msg=name)


def test_there_is_a_file_of_this_format() -> None:
    assert (FOLDER / f"format{FORMAT}.pickle").exists()


@pytest.mark.parametrize("name", ALL)
def test_a_state_carries_format_and_version(name: str) -> None:
    state = ALL[name].__getstate__()
    assert state["format"] == FORMAT == 1
    assert state["retrograd"] == rg.__version__


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: {k: v for k, v in state.items() if k != "format"}, "expected a pickle with its format and the version"),
        (lambda state: {}, "a version before format 1 wrote it, and this is"),
        (lambda state: state | {"format": 7, "retrograd": "9.9"}, "retrograd 9.9 wrote it in format 7"),
        (lambda state: state | {"spin": 1, "retrograd": "9.9"}, "it has spin, which is unknown here; retrograd 9.9 wrote it"),
    ],
)
def test_another_state_is_refused_by_the_version_that_wrote_it(name: str, change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        restored(ALL[name], change(ALL[name].__getstate__()))
    assert str(refused.value).startswith(name)


@pytest.mark.parametrize("name", ["Network", "SGD", "Trainer"])
def test_a_state_with_a_name_missing_is_refused(name: str) -> None:
    for key in {"Network": ["arrays", "steps"], "SGD": ["state"], "Trainer": ["network", "clock", "optimizer"]}[name]:
        state = ALL[name].__getstate__()
        del state[key]
        with pytest.raises(ValueError, match=f"{name}: the pickle does not fit this version: it lacks {key}; retrograd"):
            restored(ALL[name], state)


def test_a_description_is_checked_like_the_state_around_it() -> None:
    net = OBJECTS["network"]
    for change, message in (
        ({"depths": 3}, "it has depths, which is unknown here; retrograd 9.9 wrote it"),
        ({"layers": None}, "it lacks layers"),
    ):
        state = net.__getstate__()
        description = state["description"] | change | {"retrograd": "9.9"}
        state["description"] = {k: v for k, v in description.items() if v is not None}
        with pytest.raises(ValueError, match=message):
            restored(net, state)


def test_a_description_says_everything_in_plain_data() -> None:
    net = OBJECTS["trainer"].network
    told = net._spec.to_dict()
    assert json.loads(json.dumps(told)) == told
    assert told["loss"] == {"name": "cross_entropy", "label_smoothing": 0.1}
    assert repr(pickle.loads(pickle.dumps(net))) == repr(net)
    assert pickle.loads(pickle.dumps(net._spec)) == net._spec


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_is_younger_than_the_pickle_has_its_default(name: str) -> None:
    one = SETTINGS[name]
    state = one.__getstate__()
    optional = {"Dense": "dropout", "EarlyStopping": "patience", "Initializer": "scale", "Group": "frozen", "Huber": "delta"}
    optional |= {"Focal": "gamma", "Metric": "name", "EMA": "per", "OneCycle": "per", "ReduceOnPlateau": "patience"}
    del state[optional[name]]
    default = next(f.default for f in __import__("dataclasses").fields(one) if f.name == optional[name])
    assert getattr(restored(one, state), optional[name]) == default


def test_a_list_that_is_younger_than_the_pickle_is_made_anew() -> None:
    one = rg.LBFGSResult([1.0], 3)
    state = one.__getstate__()
    del state["loss"]
    first, second = restored(one, state), restored(one, state)
    assert first.loss == second.loss == [] and first.loss is not second.loss and first.iterations == 3


class Mine(rg.Network):
    """A network that holds more than its parts."""


class Watched(rg.Trainer):
    """A trainer that holds more than its settings."""


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_what_a_class_of_the_users_own_holds_is_kept(how: Any) -> None:
    net = Mine([3, 4, 2])
    net.note = {"unit": "metres"}
    assert how(net).note == {"unit": "metres"}
    trainer = Watched(net, rg.SGD(0.1))
    trainer.seen = 3
    twin = how(trainer)
    assert twin.seen == 3 and twin.network.note == net.note
    assert same_bits(twin.network.weights, net.weights)
