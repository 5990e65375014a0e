"""The golden vectors in docs/golden (values of a training step) equal those that the code and the oracle compute."""

import json
from pathlib import Path

import numpy as np

from numbanet.cli import main
from numbanet.engines.topology import ACTIVATIONS, LOSSES
from numbanet.proof import golden, oracle
from tests.helpers.engines import each

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "porting.md").read_text()


def recorded(name, suffix, folder=ROOT / "docs" / "golden"):
    """Returns a training step from a file: the entries "network" and "learning_rate", and all arrays."""
    if suffix == ".npz":
        with np.load(folder / f"{name}.npz") as archive:
            entries = {key: json.loads(str(array)) if array.dtype.kind == "U" else array for key, array in archive.items()}
    else:
        entries = json.loads((folder / f"{name}.json").read_text())
    facts = {key: entries.pop(key) for key in ("network", "learning_rate")}
    return facts, {key: np.asarray(value) for key, value in entries.items()}


def agree(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].shape == array.shape and found[name].dtype == array.dtype
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-14 * max(1, np.abs(array).max()), err_msg=name)


@each("suffix", golden.SUFFIXES)
@each("name", golden.NETWORKS)
def test_the_recorded_step_equals_the_computed_one(name, suffix):
    facts, arrays = golden.step(name)
    found_facts, found = recorded(name, suffix)
    assert found_facts == json.loads(json.dumps(facts))
    agree(found, arrays)


@each("name", golden.NETWORKS)
def test_both_formats_hold_the_same_bits(name):
    one, other = recorded(name, ".json"), recorded(name, ".npz")
    assert one[0] == other[0] and all((one[1][key] == other[1][key]).all() for key in other[1])


@each("name", golden.NETWORKS)
def test_the_recorded_step_equals_that_of_the_oracle(name):
    facts, arrays = recorded(name, ".json")
    network, layers = facts["network"], range(1, len(facts["network"]["sizes"]))
    parameters = [(arrays[f"w{l}"], arrays[f"b{l}"]) for l in layers]
    step = oracle.step(parameters, network["activations"], network["loss"], arrays["x"], arrays["y"], network["epsilon"])
    for l in layers:
        for symbol in ("z", "a", "delta", "dw", "db"):
            expected = step[symbol][l - 1].astype(float)
            np.testing.assert_allclose(arrays[f"{symbol}{l}"], expected, rtol=1e-12, atol=1e-15, err_msg=f"{symbol}{l}")
        for symbol in "wb":
            after = arrays[f"{symbol}{l}"] - facts["learning_rate"] * step[f"d{symbol}"][l - 1]
            np.testing.assert_allclose(arrays[f"{symbol}{l}_after"], after.astype(float), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(arrays["y_hat"], step["y_hat"].astype(float), rtol=1e-12)
    np.testing.assert_allclose(arrays["loss"], float(step["loss"]), rtol=1e-12)


def test_all_activations_and_losses_are_on_record():
    assert {name for _, activations, _ in golden.NETWORKS.values() for name in activations} == set(ACTIVATIONS)
    assert {loss for *_, loss in golden.NETWORKS.values()} == set(LOSSES)
    assert all(f"| `{name}` | {'-'.join(map(str, sizes))} | {', '.join(activations)} | {loss} |" in PAGE
               for name, (sizes, activations, loss) in golden.NETWORKS.items())  # fmt: skip


def test_the_command_writes_them(tmp_path, capsys):
    assert main(["golden", str(tmp_path / "new" / "folder")]) == 0
    assert capsys.readouterr().out.count("wrote ") == 10
    agree(recorded("deep", ".npz", tmp_path / "new" / "folder")[1], recorded("deep", ".json")[1])
