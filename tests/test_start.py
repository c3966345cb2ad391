"""What is loaded by what: the package and its help load next to nothing."""

import importlib
import os
import subprocess
import sys

import joblib
import pytest
from support.absent import BESIDE_THE_RUNTIME, run_without
from support.data import ROOT

import skcaptcha
from skcaptcha.cli._models import find_saver, load_model
from skcaptcha.cli._report import describe

HEAVY = set(BESIDE_THE_RUNTIME)
LOADED = """
import sys
try:
    {code}
finally:
    tops = {{name.partition(".")[0] for name in sys.modules}}
    print(*sorted(tops - set(sys.stdlib_module_names)), file=sys.stderr)
"""


CLI = "from skcaptcha.cli import main; sys.exit(main(sys.argv[1:]))"


def list_loaded(code, *arguments, cwd=None, code_expected=0):
    """Return the packages that a new process has loaded after some code."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(code=code), *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
    )
    assert done.returncode == code_expected, done.stderr
    return set(done.stderr.splitlines()[-1].split()), done


@pytest.fixture(scope="module")
def model(fitted, tmp_path_factory):
    path = tmp_path_factory.mktemp("start") / "model.onnx"
    skcaptcha.export.export_onnx(fitted, path)
    return path


@pytest.mark.parametrize(
    "code",
    [
        "import skcaptcha",
        "import skcaptcha; dir(skcaptcha), skcaptcha.__version__",
        "from skcaptcha import export, datasets, preprocessing, persistence, cli",
    ],
)
def test_an_import_loads_nothing_else(code):
    assert not list_loaded(code)[0] & (HEAVY | {"numpy", "PIL"})


@pytest.mark.parametrize(
    "arguments, code",
    [
        (["--help"], 0),
        (["--version"], 0),
        (["predict", "--help"], 0),
        (["train", "--help"], 0),
        ([], 2),
        (["predict", "model.onnx"], 2),
        (["predict", "a.onnx", "b.png", "--top", "3"], 2),
        (["train", "images", "--out", "a.joblib", "--seed", "x"], 2),
    ],
)
def test_help_and_wrong_arguments_load_nothing_else(arguments, code):
    call = "from skcaptcha.__main__ import run; sys.exit(run())"
    loaded, done = list_loaded(call, *arguments, code_expected=code)
    assert not loaded & (HEAVY | {"numpy", "PIL"})
    assert "usage" in done.stderr + done.stdout or "--version" in arguments


def test_an_exported_model_is_read_without_the_heavy_packages(model, png_folder):
    images = [png_folder / "161.png", png_folder / "162.png"]
    loaded, done = list_loaded(CLI, "predict", model, *images)
    assert not loaded & HEAVY
    assert {"numpy", "onnxruntime", "PIL"} <= loaded
    assert len(done.stdout.splitlines()) == 2


def test_what_an_exported_model_is_takes_no_runtime(model):
    loaded, done = list_loaded(CLI, "info", model)
    assert not loaded & (HEAVY | {"onnxruntime"})
    assert "Vocabulary (4)\n  0 1 2 3" in done.stdout and "float32" in done.stdout


OF_SKLEARN = {"sklearn", "scipy", "pandas", "skops", "matplotlib", "rapidfuzz"}


@pytest.mark.parametrize("compress, name", [(0, "m.joblib"), (3, "m.joblib"), (0, "m")])
def test_a_model_of_joblib_is_read_without_scikit_learn(
    fitted, png_folder, tmp_path, compress, name
):
    joblib.dump(fitted, tmp_path / name, compress=compress)
    images = [png_folder / "161.png", png_folder / "162.png"]
    loaded, done = list_loaded(CLI, "predict", tmp_path / name, *images)
    assert not loaded & OF_SKLEARN and "torch" in loaded
    assert [line.split("\t")[1] for line in done.stdout.splitlines()] == list(
        fitted.predict(images)
    )


@pytest.mark.parametrize("name", ["model.joblib", "model.pkl", "model.skops"])
def test_what_a_model_is_takes_no_network(fitted, tmp_path, name):
    path = tmp_path / name
    find_saver(path)(fitted, path)
    loaded, done = list_loaded(CLI, "info", path)
    assert not loaded & (OF_SKLEARN | {"torch"})
    assert done.stdout == f"{describe(load_model(path))}\n"


def test_a_checkpoint_is_known_by_its_head(tmp_path):
    path = tmp_path / "fit.ckpt"
    path.write_bytes(b"skcaptcha checkpoint 2 abc\n")
    loaded, done = list_loaded(CLI, "info", path, code_expected=2)
    assert not loaded & (OF_SKLEARN | {"torch"})
    assert "is the checkpoint of a fit that has not ended" in done.stderr


@pytest.mark.parametrize("name", sorted(set(dir(skcaptcha)) - {"__version__"}))
def test_each_name_that_dir_lists_can_be_had(name):
    assert getattr(skcaptcha, name) is not None


@pytest.mark.parametrize(
    "module",
    ["datasets", "export", "persistence", "preprocessing"],
)
def test_lazy_packages_have_the_names_that_they_list(module):
    package = importlib.import_module(f"skcaptcha.{module}")
    assert set(package.__all__) == set(dir(package))
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match=f"'skcaptcha.{module}' has no attribute"):
        package.no_such_name  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'no_such_name'"):
        exec(f"from skcaptcha.{module} import no_such_name")


REMEDY = "which is not installed; install skcaptcha with all that it requires"


def test_a_package_that_is_missing_is_named_with_its_remedy():
    done = run_without(["torch"], "from skcaptcha import CaptchaRecognizer")
    assert f"skcaptcha.CaptchaRecognizer needs torch, {REMEDY}" in done.stderr


@pytest.mark.parametrize(
    "arguments, needs",
    [
        (["generate", "drawn", "-n", "2"], "skcaptcha.datasets.make_captchas needs"),
        (["train", "images", "--out", "a.joblib"], "train needs"),
    ],
)
def test_the_command_line_names_it_as_well(tmp_path, arguments, needs):
    (tmp_path / "images").mkdir()
    done = run_without(["sklearn"], CLI, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert f"skcaptcha: error: {needs} sklearn, {REMEDY}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["images"]
