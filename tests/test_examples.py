"""The examples run, learn what they say they learn, and are what the demo shows."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import fastact
import processes
from fastact._kernels.registry import OPERATORS
from fastact.demo import OPTIONAL, part, plain
from fastact.demo.examples import example

EXAMPLES = Path(__file__).parents[1] / "examples"
# Each takes seconds, but for a machine that does much else as well.
LIMIT = 600
pytestmark = pytest.mark.timeout(LIMIT + 60)


def output_of(name, *arguments, cwd):
    """Run an example as its reader does and return what it prints.

    Other people's libraries may warn here. One thread: OpenBLAS would have its threads spin between small products.
    """
    command = [sys.executable, EXAMPLES / name, *arguments]
    environment = processes.environment(OPENBLAS_NUM_THREADS="1")
    ended = subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_every_example_is_tested():
    text = Path(__file__).read_text()
    assert all(f'"{path.name}"' in text for path in EXAMPLES.glob("*.py"))


def test_xor(tmp_path):
    text = output_of("xor.py", cwd=tmp_path)
    assert re.findall(r"^\w+(?=:)", text, re.MULTILINE) == ["sigmoid", "relu"]
    answers = re.findall(r"(\d) xor (\d) = (\d) \(right; probability of 1: ([\d.]+)\)", text)
    assert len(answers) == 8
    for a, b, answer, probability in answers:
        assert int(answer) == int(a) ^ int(b)
        assert abs(float(probability) - int(answer)) < 0.05
    for before, after in re.findall(r"loss ([\d.]+) at first, ([\d.]+)", text):
        assert float(after) < float(before) / 20


def test_digits(tmp_path):
    """Above 97% of what was held out, whatever the activation."""
    pytest.importorskip("sklearn")
    text = output_of("digits.py", cwd=tmp_path)
    rows = re.findall(r"^(\w+) +(l1|l2|elastic_net) +([\d.]+) +([\d.]+) +([\d.]+)% ", text, re.MULTILINE)
    assert [row[0] for row in rows] == [recipe.activation for recipe in example("digits").RECIPES]
    assert {"selu", "elu", "prelu", "relu", "sigmoid", "tanh", "gelu"} < {row[0] for row in rows}
    assert {row[1] for row in rows} == {"l1", "l2", "elastic_net"}
    for activation, _, first, last, accuracy in rows:
        assert float(accuracy) > 97, activation
        assert float(last) < float(first) / 4, activation


@pytest.fixture(scope="module")
def digits():
    pytest.importorskip("sklearn")
    return example("digits")


NAMES = ("selu", "elu", "prelu", "rrelu", "sigmoid")


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_the_network(digits, name):
    """Every parameter's gradient is the slope of the loss, with dropout and penalty: by central differences."""
    (recipe,) = (recipe for recipe in digits.RECIPES if recipe.activation == name)
    rng = np.random.default_rng(1)
    x, target = rng.standard_normal((32, 64)), rng.integers(0, 10, 32)
    network = digits.Network(recipe)
    for layer in network.layers:
        for parameter, value in zip(layer.parameters, map(np.float64, layer.parameters), strict=True):
            replace(layer, parameter, value)
        layer.running = [np.float64(array) for array in getattr(layer, "running", ())]
    network.weights = [layer.weight for layer in network.layers if isinstance(layer, digits.Dense)]
    network.optimizers = [[digits.Adam(parameter) for parameter in layer.parameters] for layer in network.layers]

    def loss():
        for layer in network.layers:
            if hasattr(layer, "rng"):
                layer.rng = np.random.default_rng(2)
        return network.step(x, target, learning_rate=0.0)

    loss()
    gradients = [[np.array(gradient) for gradient in layer.gradients] for layer in network.layers]
    checked = 0
    for layer, slopes in zip(network.layers, gradients, strict=True):
        for parameter, slope in zip(layer.parameters, slopes, strict=True):
            assert parameter.shape == slope.shape
            for index in rng.choice(parameter.size, 3, replace=False):
                before, step = parameter.flat[index], 1e-5
                parameter.flat[index] = before + step
                above = loss()
                parameter.flat[index] = before - step
                below = loss()
                parameter.flat[index] = before
                assert (above - below) / (2 * step) == pytest.approx(slope.flat[index], rel=1e-3, abs=1e-8)
                checked += 1
    assert checked >= 3 * 6


def replace(layer, parameter, value):
    """Put a value in the place of a layer's parameter."""
    if isinstance(layer.__dict__.get("parameters"), list):
        layer.parameters[[p is parameter for p in layer.parameters].index(True)] = value
    else:
        (name,) = (name for name, attribute in vars(layer).items() if attribute is parameter)
        setattr(layer, name, value)


def test_evaluation_draws_nothing_and_changes_nothing(digits):
    recipe = digits.Recipe("elu")
    network, x = digits.Network(recipe), np.random.default_rng(0).standard_normal((50, 64)).astype(np.float32)
    network.step(x, np.arange(50) % 10, 0.01)
    running = [np.copy(array) for layer in network.layers if hasattr(layer, "running") for array in layer.running]
    first, second = network.logits(x), network.logits(x)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(network.logits(x[:1]), first[:1], rtol=1e-4, atol=1e-5)
    after = [array for layer in network.layers if hasattr(layer, "running") for array in layer.running]
    assert all(np.array_equal(*pair) for pair in zip(running, after, strict=True))
    assert not np.array_equal(network.logits(x, training=True), network.logits(x, training=True))


@pytest.mark.parametrize("name", ["selu", "elu", "prelu"])
def test_the_textbook_computes_the_same_network(digits, name, monkeypatch):
    """What the demo compares with is the same computation: same loss and same gradients, where nothing is dropped."""
    monkeypatch.setattr(digits, "DROPOUT", 0.0)
    (recipe,) = (recipe for recipe in digits.RECIPES if recipe.activation == name)
    x = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    target = np.arange(64) % 10
    ours, theirs = digits.Network(recipe), digits.Network(recipe, library=plain.library())
    for _ in range(3):
        assert ours.step(x, target, 0.01) == pytest.approx(theirs.step(x, target, 0.01), rel=1e-4)
    np.testing.assert_allclose(ours.logits(x), theirs.logits(x), rtol=1e-2, atol=1e-2)


def test_inference(tmp_path):
    for library in ("sklearn", "PIL", "onnx", "onnxruntime"):
        pytest.importorskip(library)
    text = output_of("inference.py", cwd=tmp_path)
    tables = re.split(r"^(\w+\.jpg)$", text, flags=re.MULTILINE)[1:]
    assert tables[::2] == ["china.jpg", "flower.jpg"]
    best = {}
    for name, table in zip(tables[::2], tables[1::2], strict=True):
        rows = re.findall(r"^  (\d)\. ([\w ]+?) +([\d.]+)%$", table, re.MULTILINE)
        assert [row[0] for row in rows] == list("12345")
        parts = [float(row[2]) for row in rows]
        assert parts == sorted(parts, reverse=True)
        assert 60 < sum(parts) <= 100
        best[name] = [row[1] for row in rows]
    assert list(tmp_path.iterdir()) == []


def test_the_model_knows_colours():
    """A photograph of two colours, one of them a third of it."""
    for library in ("onnx", "onnxruntime"):
        pytest.importorskip(library)
    inference = example("inference")
    image = np.empty((inference.SIDE, inference.SIDE, 3), np.uint8)
    image[:] = inference.COLOURS["sky blue"]
    image[: inference.SIDE // 4] = inference.COLOURS["orange"]
    session = inference.session_of(inference.colour_model())
    (logits,) = session.run(None, {"pixels": inference.tensor_of([image])})
    (first, most), (second, rest), *_ = inference.top(logits[0])
    assert (first, second) == ("sky blue", "orange")
    assert most == pytest.approx(0.75, abs=0.02)
    assert rest == pytest.approx(0.25, abs=0.02)


def test_activation_zoo(tmp_path):
    pytest.importorskip("matplotlib")
    text = output_of("activation_zoo.py", "zoo.png", cwd=tmp_path)
    assert text.startswith(f"{len(OPERATORS)} activations")
    assert (tmp_path / "zoo.png").read_bytes().startswith(b"\x89PNG")
    panels = example("activation_zoo").figure().axes
    titles = [panel.get_title().partition("(")[0] for panel in panels if panel.get_visible()]
    assert titles == [row.name for row in OPERATORS]


# ---- The demo.


def run_demo(directory, code="", **variables):
    text = f"{code}\nfrom fastact.__main__ import main\nmain(['demo', '--quick', '--out', 'demo.png'])"
    return subprocess.run(
        [sys.executable, "-c", text],
        env=processes.environment(OPENBLAS_NUM_THREADS="1", **variables),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def test_demo(tmp_path):
    for library in OPTIONAL:
        pytest.importorskip(library)
    ended = run_demo(tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")
    assert "left out" not in ended.stdout
    for row in OPERATORS:
        assert re.search(rf"^{row.name} ", ended.stdout, re.MULTILINE)
    for name in ("selu", "elu", "prelu"):
        times = r" +[\d.]+ +[\d.]+ +-?\d+%"
        numbers = re.search(rf"^{name} +([\d.]+)% +([\d.]+)%{times}{times}$", ended.stdout, re.MULTILINE)
        assert min(map(float, numbers.groups())) > 90
    assert re.search(r"^photographs to tensor +[\d.]+ +[\d.]+ +-?\d+%$", ended.stdout, re.MULTILINE)
    assert re.search(r"^all, with the network +[\d.]+ +[\d.]+ +-?\d+%$", ended.stdout, re.MULTILINE)
    assert "china.jpg: " in ended.stdout


def test_demo_without_the_optional_libraries(tmp_path):
    """The kernels are run all the same; what else is left out is said, with the way to install it."""
    code = f"import sys\nsys.modules.update(dict.fromkeys({OPTIONAL}))"
    ended = run_demo(tmp_path, code)
    assert ended.returncode == 0, ended.stderr
    for title, library in {
        "The photographs": "sklearn",
        "The picture": "matplotlib",
        "A network that learns": "sklearn",
        "A network that is run": "sklearn",
    }.items():
        assert f"{title}: left out, {library} " in ended.stdout
    assert ended.stdout.count('pip install "fastact[demo]"') == 4
    assert re.search(r"^sigmoid ", ended.stdout, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []


def test_demo_does_not_hide_a_mistake(capsys):
    """Only what is optional may be missing."""
    with pytest.raises(ModuleNotFoundError, match="nonsense"):
        part("A mistake", import_module, "fastact.nonsense")
    assert capsys.readouterr().out == ""


def test_demo_with_a_directory_for_a_file(tmp_path):
    """Found before everything is measured."""
    ended = processes.run("-m", "fastact", "demo", "--out", str(tmp_path))
    assert ended.returncode == 1
    assert "is a directory" in ended.stderr
    assert ended.stdout == ""


def test_demo_without_a_directory_to_write_to(tmp_path):
    ended = processes.run("-m", "fastact", "demo", "--out", str(tmp_path / "none" / "demo.png"))
    assert ended.returncode == 1
    assert "there is no directory" in ended.stderr


def test_examples_are_of_this_version():
    """What the demo runs is what the reader of examples/ sees."""
    for path in EXAMPLES.glob("*.py"):
        if path.stem != "activation_zoo":
            pytest.importorskip("sklearn")
        assert Path(example(path.stem).__file__).read_text() == path.read_text()
    assert fastact.__version__
