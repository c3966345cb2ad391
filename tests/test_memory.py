"""How much memory a fit takes, and the file that bounds it."""

import os
import pickle
import subprocess
import sys
import tempfile
import textwrap
import tracemalloc
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.exceptions import ConvergenceWarning
from support.data import TINY

from skcaptcha import CaptchaRecognizer, images
from skcaptcha.exceptions import CacheError
from skcaptcha.images import _samples
from skcaptcha.images._prepare import measure_ink
from skcaptcha.images._samples import load_samples, scan_images
from skcaptcha.training import step as _trainer


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


def assert_same_weights(a, b):
    b = b.network_.state_dict()
    for name, tensor in a.network_.state_dict().items():
        assert torch.equal(tensor, b[name]), name


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
    assert_same_weights(in_memory, from_file)
    assert in_memory.validation_scores_ == from_file.validation_scores_
    for one in (in_memory, from_file):
        one.set_params(early_stopping=False).partial_fit(forms[form](), texts)
    assert_same_weights(in_memory, from_file)


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            recognizer.set_callbacks(Save()).fit(images[:n], texts[:n])
        Save.saved.append(pickle.dumps(recognizer))
        assert len(Save.saved) == 5  # around the fit, around the epoch, and after all
        sizes.append(max(map(len, Save.saved)))
    assert sizes[1] < sizes[0] + 1000  # 144 more images are 110 kB


# What is left behind


def fit_with(monkeypatch, captchas, update):
    """Fit from a file, with something to do at the second update."""
    original, calls = _trainer.Trainer.train_step, []

    def watch(self, *args):
        calls.append(None)
        if len(calls) == 2:
            update()
        return original(self, *args)

    monkeypatch.setattr(_trainer.Trainer, "train_step", watch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted = CaptchaRecognizer(**TINY, max_iter=1, cache_size=0)
        return fitted.fit(captchas[0][:32], captchas[1][:32])


@pytest.mark.parametrize("ends", ["well", "in an error", "interrupted"])
def test_no_file_is_left_behind(captchas, folder, monkeypatch, ends):
    seen = []

    def update():
        seen.append(list_files(folder))
        if ends == "in an error":
            raise RuntimeError("no more")
        if ends == "interrupted":
            raise KeyboardInterrupt

    if ends == "in an error":
        with pytest.raises(RuntimeError, match="no more"):
            fit_with(monkeypatch, captchas, update)
    else:
        fit_with(monkeypatch, captchas, update)
    assert len(seen) == 1
    assert list_files(folder) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_a_process_that_is_forked_from_the_fit_takes_no_file_with_it(
    captchas, folder, monkeypatch
):
    """Nor does it clean up what is not its own."""

    def fork():
        process = os.fork()
        if process == 0:
            os._exit(0)
        assert os.waitpid(process, 0)[1] == 0

    forked = fit_with(monkeypatch, captchas, fork)
    monkeypatch.undo()
    assert_same_weights(forked, fit_with(monkeypatch, captchas, lambda: None))


KILL = """
    import os, signal, sys
    import numpy as np
    from skcaptcha import CaptchaRecognizer
    from skcaptcha.training import step as _trainer

    def kill(*args):
        print("in training", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    _trainer.Trainer.train_step = kill
    images = [np.full((16, 48), i, np.uint8) for i in range(9)]
    CaptchaRecognizer(cache_size=0).fit(images, ["a"] * 9)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs signals")
def test_no_file_is_left_behind_where_the_process_is_killed(folder):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILL)],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
    )
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


@pytest.mark.skipif(sys.platform == "win32", reason="cannot bound files")
def test_a_file_that_cannot_grow_is_an_error_that_says_what_to_do(folder):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL)],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "CacheError" in done.stdout
    assert "The training images take more than cache_size=0.01" in done.stdout
    assert f"cannot be written in {str(folder)!r}: File too large. Make" in done.stdout
    assert "raise `cache_size` if there is the memory" in done.stdout
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


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_too_little_memory_is_an_error_that_says_what_to_do(folder):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SHORT)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("There is too little memory for the training images")
    assert "of which cache_size=1000 megabytes may be kept" in done.stdout
    assert "Lower `cache_size`" in done.stdout


def test_of_many_images_some_tell_where_the_text_stands(captchas, monkeypatch):
    monkeypatch.setattr(_samples, "_ENOUGH", 2)
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
    decoded, decode = [], images._decode

    def count(*args):
        decoded.append(None)
        return decode(*args)

    monkeypatch.setattr(images, "_decode", count)
    size = 16 * 48  # of which half of the bound is to hold some
    for cache_size, n_anew in ((1000, 0), (2 * 15 * size / 1e6, 5), (0, 20)):
        decoded.clear()
        read([png_folder / "0.png"] * 20, cache_size=cache_size)
        assert len(decoded) == 20 + n_anew


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


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_what_was_learned_from_the_file_is_let_go(folder):
    n, height, width = 5000, 16, 400
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
    fit(150, 10)
    print(find_peak() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs /proc")
def test_the_memory_of_the_whole_process_is_bounded(tmp_path, folder):
    side, n = 400, 150
    Image.new("RGB", (side, side), "red").save(tmp_path / "red.png")
    done = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-c", textwrap.dedent(WHOLE)),
            str(tmp_path / "red.png"),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    decoded = n * side**2 * 3  # 72 MB
    assert int(done.stdout) < decoded / 2


def test_the_bound_is_checked(captchas):
    for cache_size in (-1, "1 GB", None):
        with pytest.raises(ValueError, match="'cache_size' parameter"):
            CaptchaRecognizer(cache_size=cache_size).fit(*captchas)
