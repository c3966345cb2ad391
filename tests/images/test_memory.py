"""How much memory a fit takes, and the file that bounds it."""

import os
import pickle
import subprocess
import sys
import tempfile
import textwrap
import tracemalloc
from contextlib import nullcontext

import numpy as np
import pytest
from PIL import Image
from support.data import TINY
from support.training import before_updates
from support.weights import changed_weights

from skcaptcha import CaptchaRecognizer
from skcaptcha.exceptions import CacheError
from skcaptcha.images import _samples
from skcaptcha.images._prepare import measure_ink
from skcaptcha.images._samples import load_samples, scan_images

pytestmark = pytest.mark.filterwarnings("ignore:The network has not learned to read")

needs_proc = pytest.mark.skipif(
    not os.path.exists("/proc/self/statm"), reason="needs Linux's /proc"
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Folder of temporary files, of which there are none yet."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


SIZE = {"height": 16, "stretch": 1.0, "color_mode": "grayscale"}


def read(items, between=lambda: None, **params):
    params = {"background": "white", "n_jobs": 1, "cache_size": 1000, **params}
    targets = [np.array([1])] * len(items)
    scan = scan_images(items, **params)
    between()
    return load_samples(items, targets, scan.decoded, SIZE, **params)


def run(script, *arguments, **environment):
    """Run a script in a process of its own, which may import what tests may."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        capture_output=True,
        text=True,
    )


def list_files(folder):
    """Names of the files; PyTorch may make folders of its own."""
    return [path.name for path in folder.iterdir() if path.is_file()]


def is_in_file(samples):
    """Tell whether the images are views of the file, and not copies."""
    ends = np.lib.array_utils.byte_bounds
    if samples.mapping is None:
        return False
    first, last = ends(np.frombuffer(samples.mapping, dtype=np.uint8))
    return all(
        first <= start and stop <= last for start, stop in map(ends, samples.images)
    )


# What is the same


@pytest.mark.parametrize("form", ["paths", "arrays", "generator", "table"])
@pytest.mark.parametrize("cache_size", [0, 0.01])  # MB, from the first image on and not
def test_a_fit_from_a_file_gives_the_same_weights(
    quick, captchas, png_folder, folder, form, cache_size
):
    images, texts = captchas[0][:24], captchas[1][:24]
    paths = [png_folder / f"{i}.png" for i in range(24)]
    forms = {
        "paths": lambda: paths,
        "arrays": lambda: [image[:, i:] for i, image in enumerate(images)],
        "generator": lambda: (path.read_bytes() for path in paths),
        "table": lambda: np.stack(images).reshape(24, -1),
    }
    params = {"max_iter": 2, "early_stopping": True, "image_shape": (16, 48)}
    in_memory = quick(forms[form](), texts, **params)
    from_file = quick(forms[form](), texts, cache_size=cache_size, **params)
    assert not changed_weights(in_memory, from_file)
    assert in_memory.validation_scores_ == from_file.validation_scores_
    for one in (in_memory, from_file):
        one.set_params(early_stopping=False).partial_fit(forms[form](), texts)
    assert not changed_weights(in_memory, from_file)


def test_the_images_are_the_same_and_in_their_order(captchas, png_folder, folder):
    items = [image[:, : 20 + i] for i, image in enumerate(captchas[0][:20])]
    items += [png_folder / f"{i}.png" for i in range(20, 80)]
    expected = read(items)
    assert not is_in_file(expected)
    for cache_size in (0, 0.005, 0.02):
        samples = read(items, cache_size=cache_size, n_jobs=2)
        assert is_in_file(samples)
        for image, one in zip(samples.images, expected.images, strict=True):
            np.testing.assert_array_equal(image, one, strict=True)
    assert is_in_file(samples.pick([5, 3]))  # and not copied


class Save:
    """Callback that pickles whatever estimator it meets."""

    saved = []

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        self.saved.append(pickle.dumps(estimator))

    def on_fit_task_end(self, estimator, context, *, fitted_estimator=None):
        self.saved.append(pickle.dumps(fitted_estimator))


def test_what_is_saved_is_nothing_of_the_file(captchas, folder):
    images, texts = captchas[0][:160], captchas[1][:160]
    sizes = []
    for n in (16, 160):
        Save.saved = []
        recognizer = CaptchaRecognizer(**TINY, max_iter=1, cache_size=0)
        recognizer.set_callbacks(Save()).fit(images[:n], texts[:n])
        Save.saved.append(pickle.dumps(recognizer))
        assert len(Save.saved) == 5  # around the fit, around the epoch, and after all
        sizes.append(max(map(len, Save.saved)))
    assert sizes[1] < sizes[0] + 1000  # 144 more images are 110 kB


# What is left behind


@pytest.fixture
def fit_from_file(captchas, monkeypatch):
    """Function that fits from a file, with something to do at the second update."""

    def fit(watch):
        with monkeypatch.context() as patch:
            before_updates(patch, lambda number: watch() if number == 2 else None)
            recognizer = CaptchaRecognizer(**TINY, max_iter=1, cache_size=0)
            return recognizer.fit(captchas[0][:32], captchas[1][:32])

    return fit


@pytest.mark.filterwarnings("ignore:Training was interrupted")
@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_no_file_is_left_behind(folder, fit_from_file, error):
    seen = []

    def watch():
        seen.append(list_files(folder))
        if error is not None:
            raise error

    with pytest.raises(error) if error is RuntimeError else nullcontext():
        fit_from_file(watch)
    assert len(seen) == 1
    assert list_files(folder) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_a_process_that_is_forked_from_the_fit_takes_no_file_with_it(
    folder, fit_from_file
):
    """Nor does it clean up what is not its own."""

    def fork():
        process = os.fork()
        if process == 0:
            os._exit(0)
        assert os.waitpid(process, 0)[1] == 0

    assert not changed_weights(fit_from_file(fork), fit_from_file(lambda: None))


KILL = """
    import os, signal
    import numpy as np
    import pytest
    from support.training import before_updates
    from skcaptcha import CaptchaRecognizer

    def kill(number):
        print("in training", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    before_updates(pytest.MonkeyPatch(), kill)
    images = [np.full((16, 48), i, np.uint8) for i in range(9)]
    CaptchaRecognizer(cache_size=0).fit(images, ["a"] * 9)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs signals")
def test_no_file_is_left_behind_where_the_process_is_killed(folder):
    done = run(KILL, TMPDIR=str(folder))
    assert (done.stdout, done.returncode) == ("in training\n", -9), done.stderr
    assert list_files(folder) == []


# What goes wrong


def test_a_folder_that_is_not_there_is_an_error_that_says_what_to_do(
    captchas, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    fitted = CaptchaRecognizer(**TINY, cache_size=0.01)
    before = dict(vars(fitted))
    with pytest.raises(
        CacheError, match="more than cache_size=0.01 megabytes, .* in '.*gone': No such"
    ):
        fitted.fit(captchas[0][:32], captchas[1][:32])
    assert vars(fitted) == before


FULL = """
    import resource
    import numpy as np
    from skcaptcha import CaptchaRecognizer

    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    images = [np.full((16, 48), i, np.uint8) for i in range(90)]
    try:
        CaptchaRecognizer(cache_size=0.01).fit(images, ["a"] * 90)
    except OSError as error:
        print(repr(error))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="cannot bound files")
def test_a_file_that_cannot_grow_is_an_error_that_says_what_to_do(folder):
    done = run(FULL, TMPDIR=str(folder))
    assert "CacheError" in done.stdout, done.stderr
    assert "The training images take more than cache_size=0.01" in done.stdout
    assert f"cannot be written in {str(folder)!r}: File too large. Free" in done.stdout
    assert "raise `cache_size` if there is memory" in done.stdout
    assert list_files(folder) == []


SHORT = """
    import resource
    import numpy as np
    from skcaptcha import CaptchaRecognizer

    with open("/proc/self/statm") as stream:
        size = int(stream.read().split()[0]) * resource.getpagesize()
    room = size + 50_000_000
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    images = [np.broadcast_to(np.uint8(0), (40, 2000, 3))] * 1000
    try:
        CaptchaRecognizer(color_mode="rgb", n_jobs=1).fit(images, ["a"] * 1000)
    except MemoryError as error:
        print(error)
"""


@pytest.mark.slow
@needs_proc
def test_too_little_memory_is_an_error_that_says_what_to_do():
    done = run(SHORT)
    assert done.stdout.startswith("There is too little memory for"), done.stderr
    assert "for cache_size=1000 megabytes of training images" in done.stdout
    assert "Lower `cache_size`" in done.stdout


def test_of_many_images_some_tell_where_the_text_stands(captchas, monkeypatch):
    monkeypatch.setattr(_samples, "_MAX_MEASURED", 2)
    X = captchas[0][:5]
    scan = scan_images(X, background="white", n_jobs=1, cache_size=1000)
    np.testing.assert_allclose(scan.ink, (measure_ink(X[0]) + measure_ink(X[3])) / 2)


def test_an_image_that_vanishes_meanwhile_is_named(captchas, png_folder, tmp_path):
    path = tmp_path / "brief.png"
    path.write_bytes((png_folder / "0.png").read_bytes())

    with pytest.raises(
        FileNotFoundError, match=r"^X\[1\]='.*brief.png' does not exist"
    ):
        read([captchas[0][0], path], between=path.unlink, cache_size=0)


@pytest.mark.parametrize("cache_size", [0, 1000])
def test_an_image_that_cannot_be_resized_is_named(tmp_path, captchas, cache_size):
    path = tmp_path / "wide.png"
    Image.new("L", (30_000, 4)).save(path)
    with pytest.raises(ValueError, match=r"^X\[1\]='.*wide.png' has the shape \(4,"):
        read([captchas[0][0], path], cache_size=cache_size)


# How much


def measure(function):
    """Most bytes that Python and NumPy hold at a time, beyond those at the start."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_files_are_never_all_decoded_at_a_time(tmp_path, folder, n_jobs):
    side, n = 300, 600
    Image.new("L", (side, side), 255).save(tmp_path / "blank.png")
    paths = [tmp_path / "blank.png"] * n
    read(paths[:4], n_jobs=n_jobs)
    peak = measure(lambda: read(paths, cache_size=1, n_jobs=n_jobs))
    assert peak < n * side**2 / 10


def test_files_are_decoded_once_where_there_is_the_memory(png_folder, monkeypatch):
    opened, open_image = [], Image.open

    def count(*args, **kwargs):
        opened.append(None)
        return open_image(*args, **kwargs)

    monkeypatch.setattr(Image, "open", count)
    size = 16 * 48  # of which half of the bound is to hold some
    for cache_size, n_anew in ((1000, 0), (2 * 15 * size / 1e6, 5), (0, 20)):
        opened.clear()
        read([png_folder / "0.png"] * 20, cache_size=cache_size)
        assert len(opened) == 20 + n_anew


def test_beyond_the_bound_images_take_no_memory(folder):
    n, height, width = 3000, 16, 200
    rows = np.zeros((n, height, width), dtype=np.uint8)
    size = n * height * width  # resized, they are as large
    kept = []
    in_memory = measure(lambda: kept.append(read(rows)))
    from_file = measure(lambda: kept.append(read(rows, cache_size=1)))
    assert [is_in_file(samples) for samples in kept] == [False, True]
    assert in_memory > size
    assert from_file < size / 4


def find_mapped():
    """Bytes of files that this process has in its memory."""
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[2]) * os.sysconf("SC_PAGE_SIZE")


@needs_proc
def test_what_was_learned_from_the_file_is_let_go(folder):
    n, height, width = 2000, 16, 400
    rows = np.ones((n, height, width), dtype=np.uint8)
    samples = read(rows, cache_size=0)
    size = n * height * width
    before = find_mapped()
    assert sum(int(image.sum()) for image in samples.images) == size
    assert find_mapped() > before + size / 2
    samples.release()
    assert find_mapped() < before + size / 10
    assert samples.images[-1].all()


WHOLE = """
    import sys
    from skcaptcha import CaptchaRecognizer

    def find_peak():
        with open("/proc/self/status") as stream:
            line = next(line for line in stream if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def fit(n, cache_size):
        CaptchaRecognizer(
            conv_channels=(4, 4), lstm_layers=0, image_height=8, batch_size=64,
            max_iter=1, cache_size=cache_size, device="cpu",
        ).fit([sys.argv[1]] * n, ["a", "b"] * (n // 2))

    fit(8, 0)
    before = find_peak()
    fit(450, 10)
    print(find_peak() - before)
"""


@pytest.mark.slow
@needs_proc
def test_the_memory_of_the_whole_process_is_bounded(tmp_path):
    side, n = 400, 450
    Image.new("RGB", (side, side), "red").save(tmp_path / "red.png")
    done = run(WHOLE, str(tmp_path / "red.png"))
    decoded = n * side**2 * 3  # 216 MB
    # What does not grow with the images is about 40 MB.
    assert int(done.stdout) < decoded / 2, done.stderr


def test_the_bound_is_checked(captchas):
    for cache_size in (-1, "1 GB", None):
        with pytest.raises(ValueError, match="'cache_size' parameter"):
            CaptchaRecognizer(cache_size=cache_size).fit(*captchas)
