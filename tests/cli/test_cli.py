"""Tests of the command `numbanet`, called with arguments as from a shell."""

import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import numbanet
from numbanet import _cuda, cli
from numbanet._compile import config
from numbanet.cli import main
from numbanet.proof.verification import Row
from tests.helpers.engines import each
from tests.helpers.idx_files import write_fashion_mnist
from tests.helpers.processes import python


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "digits.npz"
    assert main(["train", "digits", "--quiet", "--output", str(path)]) == 0
    return path


def test_training_on_digits_shows_progress_reaches_96_percent_and_saves(tmp_path, capsys):
    """With the documented defaults, training on the CPU classifies 96 % of the 359 held-out images correctly."""
    path = tmp_path / "digits.npz"
    assert main(["train", "digits", "--output", str(path)]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("1438 handwritten digits to train on, 359 held out; Network([64, 128, 10]")
    assert len([line for line in out if line.startswith("epoch ")]) == 60
    accuracy = float(out[-2].removeprefix("test accuracy ").split(",")[0])
    assert accuracy >= 0.96
    assert out[-1] == f"saved {path}"
    _, _, x_test, y_test = numbanet.load_digits()
    assert numbanet.Network.load(path).evaluate(x_test, y_test)["accuracy"] == pytest.approx(accuracy, abs=1e-4)


def test_training_on_fashion_mnist_with_its_own_defaults(tmp_path, monkeypatch, capsys):
    """The environment variable NUMBANET_FASHION_MNIST names a folder with a tiny data set in Fashion-MNIST's format."""
    write_fashion_mnist(tmp_path)
    monkeypatch.setenv("NUMBANET_FASHION_MNIST", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["train", "fashion-mnist"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(
        "40 images of clothes to train on, 20 held out; Network([784, 128, 10], activations=['relu', 'softmax']"
    )
    assert len([line for line in out if line.startswith("epoch ")]) == 10
    assert out[-1] == "saved fashion-mnist.npz"
    x, y, x_test, _ = numbanet.load_fashion_mnist()
    expected = numbanet.Network([784, 128, 10], "relu", "cce", seed=0)
    expected.fit(x, y, epochs=10, batch_size=64, learning_rate=0.1, verbose=0)
    found = numbanet.Network.load("fashion-mnist.npz")
    assert (found.predict(x_test) == expected.predict(x_test)).all()
    assert (
        main(["train", "fashion-mnist", "--epochs", "20", "--batch-size", "4", "--hidden", "8", "--quiet", "-o", "net.npz"])
        == 0
    )
    assert "test accuracy 1.0000" in capsys.readouterr().out
    assert numbanet.Network.load("net.npz").sizes == [784, 8, 10]


def test_without_arguments_the_command_greets_with_three_commands(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["numbanet"])
    assert main() == 0
    greeting = capsys.readouterr().out
    commands = [shlex.split(line, comments=True)[1:] for line in greeting.splitlines() if line.startswith("  numbanet ")]
    assert len(commands) == 3 and commands[0] == ["train", "digits"]
    for command in commands:
        cli._parser().parse_args(command)  # each is valid
    assert "numbanet --help" in greeting


def test_predicting_digits_counts_and_draws(model, capsys):
    assert main(["predict", str(model), "digits"]) == 0
    out, err = capsys.readouterr()
    _, _, x_test, y_test = numbanet.load_digits()
    expected = numbanet.Network.load(model).predict(x_test).argmax(axis=1)
    assert [int(line) for line in out.split()] == expected.tolist()
    assert err == f"{(expected == y_test).sum()} of 359 correct\n"
    assert main(["predict", str(model), "digits", "--draw", "2"]) == 0
    out, err = capsys.readouterr()
    correct = expected == y_test
    assert err == "" and out.endswith(
        f"{correct[:2].sum()} of the 2 images above are predicted correctly, and {correct.sum()} of all 359 held-out images.\n"
    )
    titles = [line for line in out.splitlines() if line.startswith("image ")]
    assert titles[1].startswith(f"image 1: written 9, predicted {expected[1]} with probability") and len(titles) == 2
    assert [title.endswith("wrong") for title in titles] == (~correct[:2]).tolist()
    assert len(out.splitlines()) == 2 * 10 + 1 and len([line for line in out.splitlines() if "@@" in line]) > 4


@each("suffix", [".csv", ".npy", ".npz"])
def test_predicting_from_files(model, suffix, tmp_path, capsys):
    _, _, x, _ = numbanet.load_digits()
    path = tmp_path / f"data{suffix}"
    {".csv": lambda: np.savetxt(path, x[:3], delimiter=","), ".npy": lambda: np.save(path, x[:3]),
     ".npz": lambda: np.savez(path, x=x[:3])}[suffix]()  # fmt: skip
    assert main(["predict", str(model), str(path), "--outputs"]) == 0
    rows = [[float(value) for value in line.split(",")] for line in capsys.readouterr().out.split()]
    np.testing.assert_allclose(rows, numbanet.Network.load(model).predict(x[:3]), rtol=1e-5)


def test_arrays_are_recognised_under_any_name_and_read_from_standard_input(model, tmp_path, capsys, monkeypatch):
    _, _, x, _ = numbanet.load_digits()
    written = {"text": io.BytesIO(), "npy": io.BytesIO(), "npz": io.BytesIO()}
    np.savetxt(written["text"], x[:3], delimiter=",")
    np.save(written["npy"], x[:3])
    np.savez(written["npz"], x=x[:3])
    for content in written.values():
        (tmp_path / "data").write_bytes(content.getvalue())
        assert main(["predict", str(model), str(tmp_path / "data")]) == 0
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.getvalue())))
        assert main(["predict", str(model), "-"]) == 0
        assert capsys.readouterr().out.split() == 2 * [
            str(k) for k in numbanet.Network.load(model).predict(x[:3]).argmax(axis=1)
        ]


@each(
    "arguments, message",
    [
        (["predict", "missing.npz", "digits"], "cannot read 'missing.npz': no such file\n"),
        (["predict", "MODEL", "missing.csv"], "cannot read 'missing.csv': no such file\n"),
        (["train", "missing.csv", "--target", "a"], "cannot read 'missing.csv': no such file\n"),
        (["evaluate", "MODEL", "missing.npz"], "cannot read 'missing.npz': no such file\n"),
        (["export", "missing.npz", "net.onnx"], "cannot read 'missing.npz': no such file\n"),
        (["predict", "MODEL", "data.txt"], "DATA must be digits, fashion-mnist, or a .csv, .npy or .npz file"),
        (["predict", "MODEL", "words.csv"], "words.csv"),
        (["predict", "MODEL", "digit"], "cannot read 'digit' (did you mean 'digits'?): DATA must be digits, fashion-mnist, or"),
        (["predict", "MODEL", "."], "cannot open '.': is a directory\n"),
        (["predict", "MODEL", "words.csv", "--draw", "1"], ""),
        (
            ["predict", "words.csv", "digits"],
            "is damaged or not a numbanet model: the file is neither an NPZ file nor a safetensors",
        ),
        (["export", "MODEL", "net.pt"], "cannot export 'net.pt': OUT must end in .npz, .onnx, .safetensors"),
        (["export", "words.csv", "net.onnx"], "is damaged or not a numbanet model"),
        (["export", "MODEL", "missing/net.npz"], "missing/net.npz: the folder"),
        (["golden", "words.csv"], "words.csv"),
        (["train", "digits", "--epochs", "0"], "epochs must be at least 1"),
        (["train", "digits", "--output", "missing/net.npz"], "missing/net.npz: the folder"),
        (["train", "digits", "--output", ""], "cannot write"),
        (
            ["train", "fashion-mnist"],
            "install the Debian or Ubuntu package dataset-fashion-mnist, or set NUMBANET_FASHION_MNIST",
        ),
        (["train", "digits", "--learning-rate", "nan"], "learning_rate must be positive"),
        (["train", "digits", "--learning-rate", "1e30", "--epochs", "2"], "stopped being finite in epoch 1"),
    ],
)
def test_errors_exit_1_with_one_line(model, arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NUMBANET_FASHION_MNIST", str(tmp_path))
    (tmp_path / "words.csv").write_text("a,b\nc,d\n")
    assert main([str(model) if word == "MODEL" else word for word in arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("numbanet: ") and message in error and error.count("\n") == 1
    assert os.listdir(tmp_path) == ["words.csv"]


@each("suffix", [".npz", ".onnx", ".safetensors", ".SafeTensors"])
def test_exporting(model, suffix, tmp_path, capsys):
    pytest.importorskip({".npz": "numpy", ".onnx": "onnx"}.get(suffix, "safetensors"))
    path = tmp_path / f"digits{suffix}"
    assert main(["export", str(model), str(path)]) == 0
    assert capsys.readouterr().out == f"wrote {path}\n"
    if suffix == ".onnx":
        assert path.read_bytes() and b"layer1.w" in path.read_bytes()
        return
    found, expected = (numbanet.Network.load(saved).parameters() for saved in (path, model))
    assert all((w == v).all() and (b == c).all() for (w, b), (v, c) in zip(found, expected, strict=True))


@each("columns, interface", [
    ("size", "it takes x, the raw numbers of the columns 'size', and returns answers, in the units of 'price'"),
    ("size,city", "it takes an input per raw column, 'size', 'city', and returns answers, in the units of 'price'"),
])  # fmt: skip
def test_exporting_a_network_of_a_table_says_what_the_file_takes(columns, interface, tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    city = ",Bonn", ",Ulm"
    rows = [f"{40 + k}{city[k % 2] if ',' in columns else ''},{3 * k}.5\n" for k in range(40)]
    (tmp_path / "a.csv").write_text(f"{columns},price\n{''.join(rows)}")
    assert main(["train", "a.csv", "--target", "price", "--epochs", "1", "--quiet", "--output", "a.npz"]) == 0
    capsys.readouterr()
    assert main(["export", "a.npz", "a.onnx"]) == 0
    assert capsys.readouterr().out == f"wrote a.onnx\nthe file contains the encoding of the table: {interface}\n"


def test_training_checks_first_that_it_can_save(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "digits", "--output", "net.onnx"]) == 1
    assert "cannot write 'net.onnx'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "safetensors", None)
    assert main(["train", "digits", "--output", "net.safetensors"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and 'pip install "safetensors>=0.4.3"' in err and os.listdir(tmp_path) == []


def test_help_of_export_shows_examples(capsys):
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    assert "numbanet export digits.npz digits.onnx" in capsys.readouterr().out


@each(
    "arguments, message",
    [
        (["--hidden", "a"], "argument --hidden: must be whole numbers separated by commas, such as 64,32, not 'a'"),
        (["--hidden", "0"], "argument --hidden: every layer needs at least 1 neuron, not '0'"),
        (
            ["--class-weight", "foo"],
            "argument --class-weight: must be balanced or LABEL=WEIGHT,..., with numbers as weights",
        ),
        (
            ["--class-weight", "1=x"],
            "argument --class-weight: must be balanced or LABEL=WEIGHT,..., with numbers as weights",
        ),
        (["--metrics", '"f1'], "argument --metrics: cannot read the names '\"f1'"),
    ],
)
def test_misused_options_are_named(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["train", "digits", *arguments])
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


@each(
    "arguments, message",
    [
        (["trian"], "numbanet: unknown command 'trian' (did you mean 'train'?); known are train, evaluate,"),
        (["train"], "numbanet train: the following arguments are required: {digits,fashion-mnist}|FILE\n{digits,"),
        (["train", "letters"], "numbanet train: unknown data 'letters': expected digits,"),
        (["train", "digit"], "numbanet train: unknown data 'digit' (did you mean 'digits'?): expected digits,"),
        (["train", "digits", "--hidden", "a"], "numbanet train: argument --hidden: must be whole numbers separated by"),
        (
            ["train", "digits", "--activation", "ReLU"],
            "argument --activation: unknown activation 'ReLU' (did you mean 'relu'?)",
        ),
        (["train", "digits", "--optimizer", "sgd"], "unknown optimizer 'sgd' (did you mean 'gradient_descent'?); known are"),
        (["train", "digits", "--loss", "CrossEntropy"], "unknown loss 'CrossEntropy' (did you mean 'cce'?); known are"),
        (["train", "digits", "--epohcs", "3"], "unrecognized arguments: --epohcs 3 (did you mean '--epochs'?)\n--epochs N "),
        (
            ["train", "digits", "--lr", "3"],
            "unrecognized arguments: --lr 3 (did you mean '--learning-rate'?)\n--learning-rate ETA",
        ),
        (["info", "--device"], "numbanet info: unrecognized arguments: --device\n"),
        (["verify", "--device", "GPU"], "numbanet verify: argument --device: unknown device 'GPU' (did you mean 'cuda'?)"),
    ],
)
def test_misuse_exits_2_and_shows_only_the_help_of_the_argument(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    err = capsys.readouterr().err
    assert exit_.value.code == 2 and message in err
    assert "usage:" not in err and err.endswith(" --help\n") and len(err.splitlines()) < (7 if arguments else 20)


def test_help_shows_examples(capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["--help"])
    assert exit_.value.code == 0
    out = capsys.readouterr().out
    assert "numbanet train digits" in out and "numbanet train fashion-mnist" in out


def test_help_shows_the_defaults_of_each_data_set(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    out = " ".join(capsys.readouterr().out.split())
    assert "{digits,fashion-mnist}" in out
    assert "passes over the training data (default: 60 for digits, 10 for fashion-mnist, 100 for a table)" in out
    assert "samples per update (default: 16 for digits, 64 for fashion-mnist, 32 for a table)" in out


def test_info_lists_versions_and_kernels(capsys):
    assert main(["info"]) == main(["info", "--json"]) == 0
    text, _, facts = capsys.readouterr().out.partition("{")
    facts = json.loads("{" + facts)
    assert facts["numbanet"] == numbanet.__version__ and "one thread block" in facts["cuda fast"]
    assert all(name in text for name in facts)


def test_info_explains_how_a_network_trains_on_a_gpu(capsys):
    assert main(["info", "--plan", "64,32,10"]) == 0
    assert "resident: the parameters and a batch of 32 samples take" in capsys.readouterr().out
    assert main(["info", "--plan", "784,1024,10", "--batch-size", "64"]) == 0
    assert "products: the parameters and a batch of 64 samples take" in capsys.readouterr().out
    assert main(["info", "--plan", "64"]) == main(["info", "--plan", "64,10", "--batch-size", "0"]) == 1


def test_verify_exits_by_its_rows(monkeypatch):
    """The test of the page docs/command-line.md calls the command with the real function `verify`."""
    right = Row("z_j", "fast cpu", float32=0.5, float64=0.5, bound=1.0)
    rows = {"cpu": [right], "auto": [right, right._replace(float32=float("nan"))]}
    monkeypatch.setattr("numbanet.cli.verify.verify", rows.get)
    assert main(["verify", "--device", "cpu"]) == 0
    assert main(["verify"]) == 1


LONG = """
import numpy as np
import numbanet
x, y = np.random.default_rng(0).standard_normal((2000, 256)), np.arange(2000) % 10
class Ready(numbanet.Callback):
    def on_train_begin(self, logs):
        print("ready", flush=True)
for kernels in ("fast", "reference"):
    net = numbanet.Network([256, 512, 512, 10], "relu", "cce", seed=0, kernels=kernels)
    net.train_step(x[:64], y[:64], 0.1)  # compiles
    history = net.fit(x, y, epochs=10000, batch_size=64, learning_rate=0.01, verbose=0, callbacks=[Ready()])
    assert history.interrupted
    w = net.parameters()[0][0]
    assert np.isfinite(w).all()
    loss = net.evaluate(x[:100], y[:100])["loss"]
    print("kept", np.isfinite(loss), flush=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_ends_training_and_keeps_the_network():
    """A new process trains with the fast loops, and then with the reference loops. Ctrl-C ends each training."""
    with python("-c", LONG) as process:
        for _ in range(2):
            assert process.stdout.readline() == "ready\n"
            time.sleep(0.1)  # a few steps
            process.send_signal(signal.SIGINT)
            assert process.stdout.readline() == "kept True\n"
        process.wait(timeout=60)
    assert process.returncode == 0


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_in_the_command_saves_and_says_so(tmp_path):
    command = ["-m", "numbanet", "train", "digits", "--epochs", "1000000", "--output", "net.npz"]
    with python(*command, cwd=tmp_path) as process:
        lines = [process.stdout.readline() for _ in range(3)]
        assert lines[-1].startswith("epoch ")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted in epoch" in out and out.endswith("saved net.npz\n")
    assert numbanet.Network.load(tmp_path / "net.npz").sizes == [64, 128, 10]


@each("arguments", [["predict", "MODEL", "digits"], ["info", "--help"], []])
def test_output_closed_by_its_reader_is_not_an_error(arguments, model):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "numbanet", *(model if each == "MODEL" else each for each in arguments)]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open(writer, "w") as output:
        result = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, env=buffered)
    assert result.returncode == 1 and "Traceback" not in result.stderr and "Broken" not in result.stderr


@pytest.fixture(scope="module")
def fresh():
    """Runs a process that imports numbanet, trains with loops from the cache, and fails to draw; returns its output.

    The first line of the output lists the optional packages that the import of numbanet imports. The second line lists four
    modules that only a compilation needs, if the training has imported them. The third line is an exit status.
    """
    code = """
import sys, numbanet, numbanet.cli
others = {"torch", "jax", "sklearn", "h5py", "onnx", "safetensors", "mpi4py", "pytest", "matplotlib"}
print(*others & {name.partition(".")[0] for name in sys.modules})
import numpy
numbanet.Network([2, 2], "softmax", "cce").train_step(numpy.eye(2), numpy.eye(2), 0.1)
print(*{"numba.cuda", "numba.np.arrayobj", "numpy.ma", "scipy.linalg"} & sys.modules.keys())
sys.meta_path.insert(0, type("Missing", (), {"find_spec": lambda name, *_: None if name != "matplotlib" else 1 / 0}))
import importlib.util
importlib.util.find_spec = lambda name, find=importlib.util.find_spec: None if name == "matplotlib" else find(name)
print(numbanet.cli.main(["sheet"]))
"""
    numbanet.Network([2, 2], "softmax", "cce").train_step(np.eye(2), np.eye(2), 0.1)  # fills the cache
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)


@pytest.mark.skipif(_cuda.SIMULATED or config.DISABLE_JIT, reason="loads machine code from the cache")
def test_a_process_that_loads_its_code_from_the_cache_imports_only_modules_that_it_needs(fresh):
    """To import the four modules that `fresh` looks for takes a fifth of the time in which a process starts and trains."""
    assert fresh.stdout.splitlines()[1] == "", fresh.stderr


def test_importing_needs_no_gpu_and_prints_nothing_and_pictures_name_matplotlib(fresh):
    imported, _, status = fresh.stdout.splitlines()
    assert imported == "" and status == "1"
    assert fresh.stderr.startswith("numbanet: pictures need the package matplotlib, which is not installed: ")
    assert fresh.stderr.endswith('pip install "matplotlib>=3.8"\n')
