"""Reading where there are NumPy, Pillow and onnxruntime, and nothing else."""

import doctest
import io
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

import numpy as np
import pytest
from PIL import Image
from support.absent import BESIDE_THE_RUNTIME, run_without, start_without
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
note("weighted score", reader.score(paths, list(texts), sample_weight=[1] * len(paths)))
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
    done = run_without(BESIDE_THE_RUNTIME, code, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_images_can_be_cleaned_with_three_packages():
    code = """
import numpy as np
from skcaptcha import preprocessing
image = np.zeros((60, 90), np.uint8)
image[20:40, 30:70:5] = 255
dark = preprocessing.dark_on_light(image)
cut = preprocessing.crop_margins(dark, margin=0.25)
print(dark[0, 0], cut.shape, preprocessing.resize_image(cut, (10, 20)).shape[0])
for clean in (preprocessing.median_filter, preprocessing.equalize_histogram):
    try:
        clean(image)
    except ImportError as error:
        print("skcaptcha[preprocessing]" in str(error))
"""
    done = run_without(BESIDE_THE_RUNTIME, code)
    assert done.stdout == "255 (30, 46) 10\nTrue\nTrue\n", done.stderr


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


@pytest.fixture
def service(files):
    """Address of the service that the documentation shows, with three packages."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    path = ROOT / "examples" / "http_service.py"
    code = f"import runpy\nrunpy.run_path({str(path)!r}, run_name='__main__')\n"
    process = start_without(BESIDE_THE_RUNTIME, code, files[0], port)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            if process.poll() is not None:
                raise AssertionError(process.communicate()[1])
            try:
                ask(f"{address}/ready")
                break
            except URLError:
                time.sleep(0.2)
        yield address
    finally:
        process.kill()
        process.communicate()


def ask(address, body=None):
    """Return the status and the JSON of an answer."""
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(address, body, timeout=60) as answer:
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_the_http_service_of_the_page_reads(service, files, fitted):
    assert ask(f"{service}/ready") == (200, {"ready": True})
    assert ask(f"{service}/else")[0] == 404
    bodies = [path.read_bytes() for path in files[1]]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, [service] * len(bodies), bodies))
    texts, confidence = fitted.predict(bodies, return_confidence=True)
    assert [status for status, _ in answers] == [200] * len(bodies)
    assert [found["text"] for _, found in answers] == list(texts)
    found = [found["confidence"] for _, found in answers]
    np.testing.assert_allclose(found, confidence, atol=2e-4)


def test_the_http_service_refuses_what_is_no_image_and_what_is_too_large(service):
    status, found = ask(service, b"no image")
    assert status == 422 and "is not an image" in found["error"]
    large = io.BytesIO()
    Image.new("L", (2000, 1001)).save(large, "PNG")
    status, found = ask(service, large.getvalue())
    assert status == 422 and "pixels" in found["error"]
    status, found = ask(service, b"")
    assert status == 413 and "1 to 1000000 bytes" in found["error"]
    status, found = ask(service, bytes(10_000_000))
    assert status == 413
    port = int(service.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        # It answers before it has read any of the body.
        connection.sendall(b"POST / HTTP/1.0\r\nContent-Length: 9000000\r\n\r\n")
        assert b" 413 " in connection.recv(1000).split(b"\r\n")[0]


# ---- a real environment ----------------------------------------------------------

PAGE = (ROOT / "docs" / "deployment.rst").read_text("utf-8")
# The image that the page reads.
(PICTURE,) = re.findall(r'\.save\("(.+?\.png)"\)', PAGE)


def find_section(title):
    """Return a section of the page, up to the next title."""
    _, found, rest = PAGE.partition(f"\n{title}\n")
    assert found, f"deployment.rst has no section {title!r}"
    return re.split(r"\n[^\n]+\n[-^]{4,}\n", rest.lstrip("-^"))[0]


def find_blocks(title, language):
    """Return the code blocks of a section, without their indentation."""
    pattern = rf"\.\. code-block:: {language}\n\n((?: {{3}}.*\n|\n)+)"
    return [textwrap.dedent(b) for b in re.findall(pattern, find_section(title))]


@pytest.fixture(scope="module")
def served():
    """Folder that other users may enter, and what to build a wheel from is in it."""
    folder = Path(tempfile.mkdtemp(prefix="skcaptcha-served-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def wheel(served):
    source = served / "source"
    shutil.copytree(
        ROOT / "skcaptcha",
        source / "skcaptcha",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", served, source]
    subprocess.run(build, check=True, capture_output=True)
    (path,) = served.glob("skcaptcha-*.whl")
    return path


@pytest.fixture(scope="module")
def environment(served, wheel):
    """Variables of a new environment in which the page's lines have been run."""
    folder = served / "environment"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    variables = {
        k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")
    }
    variables |= {
        "PATH": os.pathsep.join([str(folder / "bin"), os.environ["PATH"]]),
        "VIRTUAL_ENV": str(folder),
        "PIP_CONSTRAINT": str(ROOT / "constraints.txt"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PYTHONIOENCODING": "utf-8",
    }
    lines = find_blocks("A reader without PyTorch", "sh")[0].splitlines()
    assert lines[0] == "pip install numpy pillow onnxruntime"
    done = run_line(lines[0], variables)
    if done.returncode:
        pytest.skip(f"the three packages cannot be installed: {done.stderr[-200:]}")
    assert lines[1] == "pip install --no-deps skcaptcha"
    done = run_line(lines[1].replace("skcaptcha", str(wheel)), variables)
    assert done.returncode == 0, done.stderr
    return variables


def run_line(line, variables, **options):
    return subprocess.run(
        ["bash", "-ec", line],
        env=variables,
        capture_output=True,
        text=True,
        encoding="utf-8",
        **options,
    )


@pytest.fixture
def work(files, captchas, tmp_path):
    """Folder with a model and an image under the names that the page has."""
    shutil.copy(files[0], tmp_path / "captchas.onnx")
    Image.fromarray(captchas[0][161]).save(tmp_path / PICTURE)
    return tmp_path


@pytest.mark.slow
def test_an_environment_of_three_packages_reads(environment, files, fitted, work):
    done = run_line("pip list --format=json", environment)
    names = {package["name"].lower() for package in json.loads(done.stdout)}
    assert names & set(BESIDE_THE_RUNTIME) == set()
    assert {"numpy", "pillow", "onnxruntime", "skcaptcha"} <= names
    model, paths = files
    line = f"python - {model} {' '.join(map(str, paths))}"
    done = run_line(line, environment, input=READ, cwd=work)
    assert done.returncode == 0, done.stderr
    check_readings(json.loads(done.stdout), fitted, paths)


@pytest.mark.slow
def test_the_lines_of_the_page_read_there(environment, fitted, work):
    section = find_section("A reader without PyTorch")
    code = "".join(e.source for e in doctest.DocTestParser().get_examples(section))
    code += "print(*texts, round(confidence[0], 2))"
    done = run_line("python -", environment, input=code, cwd=work)
    text = fitted.predict([work / PICTURE])[0]
    assert done.returncode == 0, done.stderr
    assert "return_confidence" in code and done.stdout.startswith(f"{text} ")
    lines = find_blocks("A reader without PyTorch", "sh")[1]
    info, predict = lines.strip().splitlines()
    done = run_line(info, environment, cwd=work)
    assert done.returncode == 0 and "Vocabulary (4)" in done.stdout, done.stderr
    done = run_line(predict, environment, cwd=work)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == text
    # What takes more says what.
    done = run_line("skcaptcha evaluate captchas.onnx .", environment, cwd=work)
    assert done.returncode == 2 and "needs" in done.stderr
    assert "install skcaptcha with all that it requires" in done.stderr
    done = run_line("python -c 'import skcaptcha.recognizer'", environment, cwd=work)
    assert "No module named" in done.stderr


@pytest.mark.slow
def test_the_lines_of_the_container_build_and_read(environment, fitted, work, served):
    """Each is done by the shell, in a folder in place of the container's root."""
    (text,) = find_blocks("In a container", "docker")
    text = re.sub(r"/(srv|images)\b", rf"{served}/\1", text)
    (wheel,) = served.glob("skcaptcha-*.whl")
    shutil.copy(wheel, work)
    for name in ("srv", "images"):
        (served / name).mkdir()
        (served / name).chmod(0o755)
    shutil.copy(work / PICTURE, served / "images")
    steps = [line.split(" ", 1) for line in text.splitlines() if line]
    assert [kind for kind, _ in steps[:2]] == ["FROM", "RUN"] and len(steps) <= 10
    user, folder, call = {}, work, []
    for kind, rest in steps[1:]:
        if kind == "COPY":
            assert run_line(f"cp {rest}", environment, cwd=work).returncode == 0
        elif kind == "RUN":
            done = run_line(rest, environment, cwd=folder, **user)
            assert done.returncode == 0, (rest, done.stderr)
        elif kind == "USER":
            assert rest == "nobody"
            user = find_user(rest, environment)
        elif kind == "WORKDIR":
            folder = rest
        else:
            assert kind in ("ENTRYPOINT", "CMD")
            call += json.loads(rest)
    done = run_line(shlex.join(call), environment, cwd=folder, **user)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == fitted.predict([work / PICTURE])[0]


def find_user(name, variables):
    """Return how to run as a user, if this one may and that one can start Python."""
    if os.name == "nt" or os.geteuid():
        return {}
    try:
        done = run_line("python -c pass", variables, user=name)
    except (KeyError, PermissionError, ValueError):
        return {}
    return {} if done.returncode else {"user": name}
