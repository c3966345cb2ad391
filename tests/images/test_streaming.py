"""Reading many images at a time, in threads and in processes."""

import os
import pickle
import subprocess
import sys
import textwrap
import threading
import tracemalloc
import weakref
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import joblib
import numpy as np
import pytest
from PIL import Image
from support.hostile import encode
from support.training import before_network_runs

from skcaptcha._threads import count_threads, map_in_threads
from skcaptcha.exceptions import ImageReadError
from skcaptcha.export import export_onnx
from skcaptcha.images import read_images

READERS = ["predict", "predict_confidence", "predict_topk", "frame_log_proba"]


def make_mixed(captchas, n):
    """Images of differing widths, each third one encoded."""
    rng = np.random.default_rng(0)
    images = []
    for i in range(n):
        image = captchas[0][i % 200][:, : int(rng.integers(16, 48))]
        images.append(encode(image) if i % 3 == 0 else image)
    return images


def assert_equal(a, b):
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        assert np.array_equal(one, other)


# Generators


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_a_long_generator_keeps_the_order(quick, captchas, n_jobs):
    images = make_mixed(captchas, 700)  # more than are sorted by width at a time
    recognizer = quick(n_jobs=n_jobs)
    on_generator = recognizer.frame_log_proba(image for image in images)
    assert_equal(on_generator, recognizer.frame_log_proba(images))
    for i in (0, 100, 511, 512, 699):
        alone = recognizer.frame_log_proba(images[i : i + 1])[0]
        np.testing.assert_allclose(on_generator[i], alone, atol=1e-4)


def test_a_generator_is_scored(fitted, captchas):
    images, texts = captchas
    assert fitted.score(iter(images), texts) == fitted.score(images, texts)
    for n in (199, 201):
        with pytest.raises(ValueError, match=f"X has 200 images and y has {n} labels"):
            fitted.score(iter(images), [*texts, "0"][:n])


def test_a_generator_is_fitted_as_its_list_is(quick, some):
    assert quick(*some).loss_curve_ == quick(iter(some[0]), some[1]).loss_curve_


def test_an_empty_generator_is_refused(fitted):
    for method in READERS:
        with pytest.raises(ValueError, match="X is empty; at least one image"):
            getattr(fitted, method)(iter([]))


@pytest.mark.parametrize("n_jobs", [1, 4])
def test_an_image_that_cannot_be_read_is_named_by_its_position(quick, captchas, n_jobs):
    recognizer = quick(n_jobs=n_jobs)
    for position in (0, 1, 555, 1100):
        images = make_mixed(captchas, 1200)
        images[position] = b"no image"
        images[1150] = None  # comes later, and is not the one to be named
        match = rf"^X\[{position}\]=<8 bytes> is not an"
        for X in (images, iter(images)):
            with pytest.raises(ImageReadError, match=match):
                recognizer.predict(X)


def test_the_error_of_a_generator_itself_passes_through(fitted, captchas):
    def fail():
        yield from captchas[0][:5]
        raise TypeError("the camera is off")

    with pytest.raises(TypeError, match="^the camera is off$"):
        fitted.predict(fail())


def test_a_generator_is_only_asked_by_the_calling_thread(quick, captchas):
    recognizer = quick(n_jobs=4)
    asked_by = set()

    def ask():
        for image in make_mixed(captchas, 40):
            asked_by.add(threading.get_ident())
            yield image

    recognizer.predict(ask())
    assert asked_by == {threading.get_ident()}


# Memory


def test_arrays_of_a_generator_are_let_go_as_they_are_read(fitted, captchas):
    alive, most = set(), 0

    def make():
        nonlocal most
        for i in range(1500):
            image = captchas[0][i % 200].copy()
            alive.add(i)
            weakref.finalize(image, alive.discard, i)
            most = max(most, len(alive))
            yield image

    assert len(fitted.predict(make())) == 1500
    assert most < 10


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_decoded_images_are_let_go_as_they_are_resized(quick, tmp_path, n_jobs):
    side = 400
    Image.new("L", (side, side), 255).save(tmp_path / "blank.png")
    recognizer = quick(n_jobs=n_jobs)
    paths = [tmp_path / "blank.png"] * 600
    recognizer.predict(paths[:20])
    tracemalloc.start()
    try:
        assert len(recognizer.predict(paths)) == 600
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 60 * side**2  # of 600 that are decoded


# Threads that decode


class Recorder(os.PathLike):
    """Path that keeps which thread opens it."""

    threads = set()

    def __init__(self, path, barrier=None):
        self.path, self.barrier = path, barrier

    def __fspath__(self):
        self.threads.add(threading.get_ident())
        if self.barrier is not None:
            self.barrier.wait(20)
        return str(self.path)


class Tensor:
    """What is no NumPy array, but gives one."""

    threads = set()

    def __init__(self, pixels):
        self.pixels = pixels
        self.shape, self.dtype = pixels.shape, pixels.dtype

    def __array__(self, dtype=None, copy=None):
        self.threads.add(threading.get_ident())
        return self.pixels


def test_files_are_decoded_by_as_many_threads_as_are_asked_for(png_folder):
    Recorder.threads = set()
    barrier = threading.Barrier(3)  # passed by three threads at a time
    paths = [Recorder(png_folder / f"{i}.png", barrier) for i in range(6)]
    assert len(read_images(paths, n_jobs=3)) == 6
    assert len(Recorder.threads) == 3
    assert threading.get_ident() not in Recorder.threads


@pytest.mark.parametrize("n_jobs", [1, 4])
def test_a_single_file_is_decoded_by_the_calling_thread(png_folder, n_jobs):
    Recorder.threads = set()
    read_images([Recorder(png_folder / "0.png")], n_jobs=n_jobs)
    assert Recorder.threads == {threading.get_ident()}


def test_arrays_need_no_other_thread(captchas):
    Tensor.threads = set()
    read_images([Tensor(image) for image in captchas[0][:20]], n_jobs=4)
    assert Tensor.threads == {threading.get_ident()}


def test_files_are_decoded_while_the_network_reads(quick, png_folder, monkeypatch):
    recognizer = quick(n_jobs=2)
    decoded_later = threading.Event()

    class Late(Recorder):
        def __fspath__(self):
            decoded_later.set()
            return super().__fspath__()

    def wait(images):
        assert decoded_later.wait(20)  # the network does not begin before

    before_network_runs(monkeypatch, wait)
    path = png_folder / "0.png"
    assert len(recognizer.predict([path] * 512 + [Late(path)] * 9)) == 521


def test_what_threads_return_keeps_its_order():
    def slow(i):
        event = threading.Event()
        event.wait(0.02 if i % 7 == 0 else 0)
        return i

    for worthwhile in (lambda i: True, lambda i: i % 3, lambda i: False):
        found = map_in_threads(slow, range(60), 4, worthwhile=worthwhile, ahead=10)
        assert list(found) == list(range(60))


def count_in_a_job(n_jobs):
    return count_threads(n_jobs)


def test_the_number_of_threads_is_what_joblib_says():
    n_cores = joblib.cpu_count()
    assert count_threads(None) == min(8, n_cores)
    assert [count_threads(n) for n in (1, 3, -1)] == [1, 3, n_cores]
    with joblib.parallel_config("threading", n_jobs=3):
        assert count_threads(None) == 3
        assert count_threads(2) == 2
    # Three processes, or machines, are no reason for three threads in this one.
    with joblib.parallel_config("multiprocessing", n_jobs=3):
        assert count_threads(None) == 1
        assert count_threads(2) == 2


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["loky", "threading", "multiprocessing"])
def test_a_job_of_joblib_decodes_in_one_thread_unless_told_otherwise(backend):
    with joblib.parallel_config(backend):
        found = joblib.Parallel(n_jobs=2)(
            joblib.delayed(count_in_a_job)(n) for n in (None, 2, None, 3)
        )
    assert found == [1, 2, 1, 3]


# Threads and processes that call


@pytest.mark.filterwarnings("ignore::skcaptcha.exceptions.UnlikeTrainingWarning")
@pytest.mark.parametrize("method", READERS)
def test_sixteen_threads_at_once_read_what_one_does(fitted, captchas, method):
    read = getattr(fitted, method)
    shares = [make_mixed(captchas, 100)[i : i + 20] for i in range(0, 80, 5)]
    expected = [read(share) for share in shares]
    barrier = threading.Barrier(16)

    def wait_and_read(share):
        barrier.wait(20)
        return [read(share) for _ in range(3)]

    before, saved = dict(vars(fitted)), pickle.dumps(fitted)
    modes = [module.training for module in fitted.network_.modules()]
    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(wait_and_read, shares))
    assert vars(fitted) == before and pickle.dumps(fitted) == saved
    assert [module.training for module in fitted.network_.modules()] == modes
    for repeats, one in zip(results, expected, strict=True):
        for result in repeats:
            assert_equal(result, one)


@pytest.mark.slow
def test_spawned_processes_read_what_this_one_does(fitted, captchas):
    images = captchas[0][:30]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(fitted.predict, images) for _ in range(2)]
        assert all(list(j.result()) == list(fitted.predict(images)) for j in jobs)


FORK = """
    import sys
    from multiprocessing import get_context

    import joblib
    import numpy as np
    import torch

    torch.set_num_threads(2)
    recognizer, images = joblib.load(sys.argv[1])
    expected = list(recognizer.predict(images))
    square = torch.ones(512, 512)
    square @ square + square.exp().sum()  # now PyTorch has its threads

    def read(queue):
        queue.put(list(recognizer.predict(images)) == expected)

    def learn(queue):
        again = joblib.load(sys.argv[1])[0].set_params(max_iter=1, warm_start=True)
        queue.put(again.fit(images, expected).n_iter_ == recognizer.n_iter_ + 1)

    fork = get_context("fork")
    queue = fork.Queue()
    processes = [fork.Process(target=f, args=(queue,)) for f in (read, read, learn)]
    for process in processes:
        process.start()
    print(*(queue.get(timeout=200) for _ in processes))
    for process in processes:
        process.join()
    print(torch.get_num_threads(), list(recognizer.predict(images)) == expected)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_forked_processes_read_and_learn_without_the_threads_of_pytorch(
    fitted, captchas, tmp_path
):
    """They would wait for ever for threads that were not forked with them."""
    joblib.dump((fitted, captchas[0][:30]), tmp_path / "model.joblib")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FORK), str(tmp_path / "model.joblib")],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [*["True"] * 3, "2", "True"]


FORK_WHILE_READING = """
import os, signal, sys, threading, time
from PIL import Image, ImageFile
from skcaptcha.export import export_onnx
from skcaptcha.images import read_images

class Slow(Image.Image):
    def load(self):
        if threading.current_thread() is not threading.main_thread():
            loading.set()
            time.sleep(0.5)
        return super().load()

def make():
    image = Slow()
    image.im, image._mode, image._size = picture.im, picture.mode, picture.size
    return image

def read():
    while True:
        read_images([make(), make()], n_jobs=1)

def read_and_fork():
    if (number := os.fork()) == 0:
        signal.alarm(30)
        texts = [int(i.mean()) for i in read_images([make(), make()], n_jobs=N_JOBS)]
        os._exit(0 if texts == [7, 7] else 1)
    return os.waitpid(number, 0)[1]

N_JOBS = int(sys.argv[1])
picture, loading = Image.new("L", (9, 9), 7), threading.Event()
threading.Thread(target=read, daemon=True).start()
loading.wait()
statuses = [read_and_fork() for _ in range(4)]  # each while the lock is taken
os.register_at_fork(before=lambda: read_images([picture]))  # taken and given back
statuses.append(read_and_fork())
print(statuses, flush=True)
os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
@pytest.mark.parametrize("n_jobs", ["1", "2"])
def test_a_child_that_was_forked_while_a_thread_reads_does_not_wait_for_it(n_jobs):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK_WHILE_READING, n_jobs],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout == f"{[0] * 5}\n", done.stderr


FORK_WHILE_PREDICTING = """
import os, signal, sys, threading, time
import joblib, torch
from skcaptcha.export import load_onnx

def read():
    while True:
        reader.predict(images)
        n_read.append(0)

torch.set_num_threads(2)
recognizer, images = joblib.load(sys.argv[1])
expected, n_read, statuses = list(recognizer.predict(images)), [], []
reader = load_onnx(sys.argv[2]) if len(sys.argv) > 2 else recognizer
threading.Thread(target=read, daemon=True).start()
while not n_read:
    time.sleep(0.01)
for _ in range(6):
    if (number := os.fork()) == 0:
        signal.alarm(60)
        os._exit(0 if list(reader.predict(images)) == expected else 1)
    statuses.append(os.waitpid(number, 0)[1])
    time.sleep(0.007)  # another moment of a prediction
print(statuses, flush=True)
os._exit(0)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
@pytest.mark.parametrize("kind", ["recognizer", "onnx"])
def test_a_child_that_was_forked_while_a_network_runs_reads_the_same(
    fitted, captchas, tmp_path, kind
):
    model, exported = tmp_path / "model.joblib", tmp_path / "model.onnx"
    joblib.dump((fitted, captchas[0][:60]), model)
    export_onnx(fitted, exported)
    command = [sys.executable, "-W", "ignore", "-c", FORK_WHILE_PREDICTING, model]
    done = subprocess.run(
        command + [exported] * (kind == "onnx"),
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.stdout == f"{[0] * 6}\n", done.stderr


FORK_AT_REST = """
import os, signal, sys, time
import joblib
from skcaptcha.export import load_onnx

expected, images = joblib.load(sys.argv[1])
reader = load_onnx(sys.argv[2])
statuses = []
for _ in range(2):
    time.sleep(1)  # until the threads of the session sleep
    if (number := os.fork()) == 0:
        signal.alarm(60)
        os._exit(0 if list(reader.predict(images)) == expected else 1)
    statuses.append(os.waitpid(number, 0)[1])
print(statuses, flush=True)
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_a_child_that_was_forked_after_a_model_was_loaded_reads(
    fitted, captchas, tmp_path
):
    known, exported = tmp_path / "known.joblib", tmp_path / "model.onnx"
    images = captchas[0][:20]
    joblib.dump((list(fitted.predict(images)), images), known)
    export_onnx(fitted, exported)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK_AT_REST, known, exported],
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout == "[0, 0]\n", done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_thousands_of_predictions_leave_memory_and_files_as_they_were(
    fitted, captchas, png_folder
):
    path = png_folder / "0.png"
    inputs = [[path], [path.read_bytes()], [captchas[0][0]], iter, [path, path]]

    def read(n_rounds):
        for _ in range(n_rounds):
            for X in inputs:
                fitted.predict(iter([captchas[0][1]]) if X is iter else X)
            with pytest.raises(ImageReadError):
                fitted.predict([path, b"no image"])

    def count_pages():
        with open("/proc/self/statm") as stream:
            return int(stream.read().split()[1])

    read(60)
    n_files, n_pages = len(os.listdir("/proc/self/fd")), count_pages()
    n_threads = threading.active_count()
    read(200)
    assert len(os.listdir("/proc/self/fd")) <= n_files
    assert threading.active_count() <= n_threads
    grown = (count_pages() - n_pages) * os.sysconf("SC_PAGE_SIZE")
    assert grown < 1200 * 1024  # a kilobyte a prediction
