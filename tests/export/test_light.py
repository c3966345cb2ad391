"""Reading where there are NumPy, Pillow and onnxruntime, and nothing else."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from support.absent import BESIDE_THE_RUNTIME, run_without
from support.data import ROOT

from skcaptcha.export import export_onnx

# All that a reader does, with what it gives as JSON.
READ = """
import json, sys, warnings
import numpy as np
from PIL import Image
from skcaptcha.export import load_onnx

model, *paths = sys.argv[1:]
reader = load_onnx(model, n_jobs=2, self_test=True)
found = {}

def note(name, value):
    if isinstance(value, np.ndarray):
        value = value.tolist()
    found[name] = value

texts, confidence = reader.predict(paths, return_confidence=True)
note("predict", texts)
note("return_confidence", confidence)
note("predict_confidence", reader.predict_confidence(paths))
note("predict_topk", reader.predict_topk(paths[:3], k=2))
note("predict_characters", reader.predict_characters(paths[:3]))
note("length", reader.predict(paths, length=2))
note("weighted", reader.predict(paths, length={2: 1, 3: 0.5}))
note("vocabulary", reader.predict(paths, vocabulary="01", length=(1, 3)))
note("frames", [f.shape for f in reader.frame_log_proba(paths[:2])])
note("readings", sorted(reader.iter_readings(paths[:4])))
note("score", [reader.score(paths, list(texts)), reader.score(paths, texts[::-1])])
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    note("skipped", reader.predict([paths[0], "gone.png"], on_error="skip"))
    note("warnings", [type(w.message).__name__ for w in seen])
try:
    reader.predict(["gone.png"])
except FileNotFoundError as error:
    note("error", str(error).partition(" does")[0])
image = np.asarray(Image.open(paths[0]))
clear = np.dstack([image] * 3 + [np.where(image < 200, 255, 0).astype(np.uint8)])
forms = [image, image / 255, Image.open(paths[0]), open(paths[0], "rb").read(), clear]
note("forms", [str(reader.predict([form])[0]) for form in forms])
note("params", sorted(reader.get_params()))
note("loaded", sorted({name.partition(".")[0] for name in sys.modules}))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def files(fitted, captchas, png_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("light") / "model.onnx"
    export_onnx(fitted, path, test_images=captchas[0][160:170])
    return path, [png_folder / f"{i}.png" for i in range(160, 180)]


def check_readings(found, fitted, paths):
    """Compare with what PyTorch's recognizer gives."""
    for name, expected in {
        "predict": fitted.predict(paths),
        "length": fitted.predict(paths, length=2),
        "weighted": fitted.predict(paths, length={2: 1, 3: 0.5}),
        "vocabulary": fitted.predict(paths, vocabulary="01", length=(1, 3)),
    }.items():
        assert found[name] == list(expected), name
    confidence = fitted.predict_confidence(paths)
    np.testing.assert_allclose(found["predict_confidence"], confidence, atol=1e-4)
    np.testing.assert_allclose(found["return_confidence"], confidence, atol=1e-4)
    for name, method in [
        ("predict_topk", lambda: fitted.predict_topk(paths[:3], k=2)),
        ("predict_characters", lambda: fitted.predict_characters(paths[:3])),
    ]:
        for here, there in zip(found[name], method(), strict=True):
            assert [item[0] for item in here] == [item[0] for item in there]
            np.testing.assert_allclose(
                [item[1:] for item in here], [item[1:] for item in there], atol=1e-4
            )
    shapes = [list(frames.shape) for frames in fitted.frame_log_proba(paths[:2])]
    assert found["frames"] == shapes
    readings = sorted(fitted.iter_readings(paths[:4]))
    assert [r[1] for r in found["readings"]] == [r[1] for r in readings]
    texts = list(fitted.predict(paths))
    assert found["score"] == [1.0, np.mean(np.array(texts) == texts[::-1])]
    assert found["skipped"] == [texts[0], None]
    assert found["warnings"] == ["SkippedImageWarning"]
    assert found["error"] == "X[0]='gone.png'"
    assert found["forms"] == [texts[0]] * 5
    assert found["params"] == ["metadata", "n_jobs", "session"]


def test_everything_that_readers_do_takes_three_packages(files, fitted):
    model, paths = files
    done = run_without(BESIDE_THE_RUNTIME, READ, model, *paths)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    check_readings(found, fitted, paths)
    assert not set(found["loaded"]) & set(BESIDE_THE_RUNTIME)


def test_the_number_of_threads_is_told_without_joblib_and_pytorch(tmp_path):
    code = (
        "import os\n"
        "from skcaptcha import _threads as t\n"
        "t._QUOTA = t.Path('quota')\n"
        "n = len(os.sched_getaffinity(0))\n"
        "assert t.count_cores() == n\n"
        "assert [t.count_threads(k) for k in (None, 3, -1)] == [min(8, n), 3, n]\n"
        "assert t.count_threads(-n - 5) == 1\n"
        "for wrong in (0, 'x', 1.5):\n"
        "    try:\n"
        "        t.count_threads(wrong)\n"
        "    except ValueError as error:\n"
        "        assert f'n_jobs={wrong!r} must be None or an int' in str(error)\n"
        "    else:\n"
        "        raise AssertionError(wrong)\n"
        "os.environ['OMP_NUM_THREADS'] = '3'\n"
        "assert t.count_network_threads() == 3\n"
        "for odd in ('', '0', 'many'):\n"
        "    os.environ['OMP_NUM_THREADS'] = odd\n"
        "    assert t.count_network_threads() == (0 if n == os.cpu_count() else n)\n"
        "t._QUOTA.write_text('50000 100000\\n')\n"  # of half a core
        "assert t.count_cores() == t.count_threads(-1) == 1\n"
        "assert t.count_network_threads() == (0 if os.cpu_count() == 1 else 1)\n"
        "t._QUOTA.write_text('max 100000\\n')\n"
        "assert t.count_cores() == n\n"
    )
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system does not tell on which cores a process may run")
    done = run_without(
        BESIDE_THE_RUNTIME, "import os\n" + code, cwd=os.devnull and None
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_symbols_of_several_code_points_take_one_package_more(quick, some, tmp_path):
    images, texts = some
    texts = [text.replace("0", "x\u0323") for text in texts]
    export_onnx(quick(images, texts), tmp_path / "model.onnx")
    code = (
        "from skcaptcha.export import load_onnx\n"
        "print(len(load_onnx(sys.argv[1]).vocabulary_))"
    )
    rest = [name for name in BESIDE_THE_RUNTIME if name != "regex"]
    done = run_without(rest, code, tmp_path / "model.onnx")
    assert (done.stdout, done.stderr) == ("4\n", "")
    done = run_without(BESIDE_THE_RUNTIME, code, tmp_path / "model.onnx")
    assert re.search("characters that join others.* package regex: pip", done.stderr)


# ---- a real environment ----------------------------------------------------------

NEEDED = ["numpy", "onnxruntime", "pillow"]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Python of a new environment with three packages and the project's wheel."""
    folder = tmp_path_factory.mktemp("environment")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    if os.name == "nt":
        python = folder / "venv" / "Scripts" / "python.exe"
    here = ["--python", str(python)]
    constraints = ["-c", str(ROOT / "constraints.txt")]
    done = subprocess.run(
        [*pip, *here, "install", *constraints, *NEEDED], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"packages cannot be installed here: {done.stderr.strip()[-200:]}")
    done = subprocess.run(
        [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("skcaptcha-*.whl")
    subprocess.run([*pip, *here, "install", "--no-deps", wheel], check=True)
    return python


def run_there(python, *arguments, **options):
    names = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH",)}
    return subprocess.run(
        [python, *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**names, "PYTHONIOENCODING": "utf-8"},
        **options,
    )
