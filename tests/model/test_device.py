"""Which device is taken where a GPU is there and of no use."""

import multiprocessing
import pickle
import threading
import warnings

import pytest
import torch
from support.data import TINY

from skcaptcha import CaptchaEnsemble, CaptchaRecognizer, load_pretrained
from skcaptcha._torch_compat import AcceleratorError, OutOfMemoryError
from skcaptcha.model import device as devices
from skcaptcha.model.device import (
    choose_device,
    fallback_notices,
    move_saved,
    use_device,
)
from skcaptcha.model.network import CRNN

FAULTS = {
    "no kernels": (
        AcceleratorError(
            "CUDA error: no kernel image is available for execution on the device\n"
            "CUDA kernel errors might be asynchronously reported at some other API call"
        ),
        r"has no kernels for Tesla P100 \(compute capability 6.0\), but for sm_75, "
        r"sm_90; install a PyTorch that has",
    ),
    "busy": (
        AcceleratorError(
            "CUDA error: CUDA-capable device(s) is/are busy or unavailable\nSearch for"
        ),
        r"Tesla P100 .* is busy or unavailable; stop the program",
    ),
    "full": (
        OutOfMemoryError("CUDA out of memory. Tried to allocate 256.00 MiB."),
        r"the memory of Tesla P100 .* is full \(CUDA out of memory.*\); stop other",
    ),
    "no room for cuDNN": (
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        r"is full \(cuDNN error: CUDNN_STATUS_ALLOC_FAILED\); stop other programs",
    ),
    "lost": (
        AcceleratorError("CUDA error: unknown error\nSearch for"),
        r"failed when it was tried out \(CUDA error: unknown error\); see what",
    ),
    "something new": (KeyError("sm_999"), r"failed when it was tried out \('sm_999'\)"),
}


class Gpu:
    """Properties of a GPU."""

    name, major, minor = "Tesla P100", 6, 0


@pytest.fixture(autouse=True)
def anew(monkeypatch):
    """Nothing has been tried out or told."""
    monkeypatch.setattr(devices, "_faults", {})
    monkeypatch.setattr(devices, "_told", set())


@pytest.fixture
def gpu(monkeypatch):
    """Function that puts a GPU there whose kernels raise an error, or None."""
    calls = []

    def put(error, n_devices=1):
        def run(device):
            calls.append(device)
            if error is not None:
                raise error

        for name, value in {
            "is_available": lambda: True,
            "device_count": lambda: n_devices,
            "current_device": lambda: 0,
            "get_device_properties": lambda device: Gpu,
            "get_arch_list": lambda: ["sm_75", "sm_90"],
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)
        monkeypatch.setattr(devices, "_run_kernels", run)
        return calls

    return put


@pytest.mark.parametrize("error, words", FAULTS.values(), ids=FAULTS)
def test_a_gpu_of_no_use_is_left_alone_or_refused(gpu, error, words):
    gpu(error)
    assert choose_device("auto") == devices.CPU
    ((message, category),) = fallback_notices("auto", devices.CPU)
    assert category is UserWarning
    with pytest.raises(ValueError, match=f"^device='cuda' cannot be used: .*{words}"):
        choose_device("cuda")
    with pytest.raises(ValueError, match=words) as caught:
        choose_device("cuda:0")
    assert str(caught.value).endswith("device='cpu' does without a GPU.")
    said = str(caught.value).partition("used: ")[2].partition(". device=")[0]
    assert message == (
        f"device='auto': the CPU is used, as the GPU cannot be: {said}. device='cpu' "
        "does the same without this warning."
    )
    for named in ("cpu", "auto"):  # the latter has been told
        assert fallback_notices(named, devices.CPU) == []


def test_a_gpu_of_use_is_taken_and_tried_out_once(gpu):
    calls = gpu(None, n_devices=2)
    for _ in range(3):
        assert choose_device("auto") == torch.device("cuda")
        assert choose_device("cuda") == torch.device("cuda")
        assert choose_device("cuda:1") == torch.device("cuda:1")
        assert choose_device("cpu") == devices.CPU
    assert calls == [torch.device("cuda:0"), torch.device("cuda:1")]
    assert fallback_notices("auto", torch.device("cuda")) == []


def test_a_gpu_that_is_free_again_can_be_named(gpu):
    calls = gpu(FAULTS["full"][0])
    for _ in range(2):
        assert choose_device("auto") == devices.CPU
    assert len(calls) == 1
    with pytest.raises(ValueError, match="is full"):
        choose_device("cuda")
    gpu(None)
    assert choose_device("auto") == devices.CPU  # as before, if not asked for
    assert choose_device("cuda") == choose_device("auto") == torch.device("cuda")


def test_other_gpus_are_pointed_out(gpu):
    gpu(FAULTS["no kernels"][0], n_devices=2)
    ((message, _),) = fallback_notices("auto", choose_device("auto"))
    assert "This machine has 2 GPUs; choose another as device='cuda:1'." in message


def test_no_gpu_at_all_is_nothing_to_tell():
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert choose_device("auto") == devices.CPU
    network = torch.nn.Linear(1, 1)
    assert move_saved(network, "cuda") == []
    assert network.weight.device == devices.CPU
    for device in ("auto", "cpu", "cuda", "cuda:3"):
        assert fallback_notices(device, devices.CPU) == []


def test_a_filter_that_makes_errors_of_warnings_says_nothing_of_the_gpu(gpu):
    gpu(UserWarning("RNN module weights are not part of a single chunk"))
    with pytest.raises(UserWarning, match="RNN module"):
        choose_device("auto")


def test_cuda_that_cannot_begin_is_told_of(gpu, monkeypatch):
    gpu(None)

    def fail():
        raise RuntimeError(
            "Cannot re-initialize CUDA in forked subprocess. To use CUDA with "
            "multiprocessing, you must use the 'spawn' start method"
        )

    monkeypatch.setattr(torch.cuda, "current_device", fail)
    assert choose_device("auto") == devices.CPU
    with pytest.raises(ValueError, match="forked after CUDA had been used; start"):
        choose_device("cuda")


def test_threads_wait_for_one_trial(gpu, monkeypatch):
    calls, found = gpu(None), []
    run, begun = devices._run_kernels, threading.Event()

    def wait(device):
        assert begun.wait(10)
        run(device)

    monkeypatch.setattr(devices, "_run_kernels", wait)
    threads = [
        threading.Thread(target=lambda: found.append(choose_device("auto")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    begun.set()
    for thread in threads:
        thread.join()
    assert found == [torch.device("cuda")] * 4 and len(calls) == 1


def send_faults(queue):
    queue.put((dict(devices._faults), devices._lock.acquire(timeout=5)))


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="nothing forks here"
)
def test_a_forked_process_tries_out_anew(gpu):
    gpu(None)
    choose_device("auto")
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    with devices._lock, warnings.catch_warnings():  # as another thread may
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads and forks
        process = context.Process(target=send_faults, args=[queue])
        process.start()
        assert queue.get(timeout=60) == ({}, True)
        process.join()
    assert devices._faults == {0: None}


# ---- what the user sees -----------------------------------------------------------


@pytest.mark.filterwarnings("ignore:The network has not learned to read")
def test_fits_and_models_take_the_cpu_with_one_warning(gpu, captchas):
    gpu(FAULTS["no kernels"][0])
    X, y = (values[:8] for values in captchas)
    recognizer = CaptchaRecognizer(**{**TINY, "device": "auto", "max_iter": 1})
    with pytest.warns(UserWarning, match="has no kernels for Tesla P100") as caught:
        recognizer.fit(X, y)
    of_gpu = [w for w in caught if "Tesla" in str(w.message)]
    assert len(of_gpu) == 1 and of_gpu[0].filename == __file__
    assert recognizer.auto_choices_["device"] == "cpu"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        recognizer.fit(X, y).partial_fit(X, y)
        CaptchaEnsemble(recognizer, cv=2).fit(X, y)
        pickle.loads(pickle.dumps(recognizer)).predict(X)
        load_pretrained()
    assert not [w for w in caught if "Tesla" in str(w.message)]


def test_a_model_of_a_gpu_of_no_use_reads_on_the_cpu(gpu, fitted, captchas):
    content = pickle.dumps(fitted.__class__().set_params(device="cuda"))
    state = {**fitted.__getstate__(), "device": "cuda"}
    gpu(FAULTS["busy"][0])
    assert pickle.loads(content).device == "cuda"  # has no network, and tries nothing
    loaded = CaptchaRecognizer()
    with pytest.warns(UserWarning, match="device='cuda': the CPU is used, as the GPU"):
        loaded.__setstate__(state)
    X = captchas[0][:4]
    assert loaded.predict(X).tolist() == fitted.predict(X).tolist()
    with pytest.raises(ValueError, match="device='cuda' cannot be used: .* busy"):
        loaded.fit(X, captchas[1][:4])
    with pytest.raises(ValueError, match="device='cuda' cannot be used: .* busy"):
        load_pretrained(device="cuda")


def test_a_model_that_does_not_fit_onto_the_gpu_reads_on_the_cpu(
    gpu, fitted, captchas, monkeypatch
):
    gpu(None)
    state, move = {**fitted.__getstate__(), "device": "cuda"}, CRNN.to

    def fail(network, *args, **kwargs):
        if args == (torch.device("cuda"),):
            raise RuntimeError("CUDA error: out of memory")
        return move(network, *args, **kwargs)

    monkeypatch.setattr(CRNN, "to", fail)
    loaded = CaptchaRecognizer()
    with pytest.warns(UserWarning, match=r"moved to the GPU \(CUDA error: out of mem"):
        loaded.__setstate__(state)
    X = captchas[0][:4]
    assert loaded.predict(X).tolist() == fitted.predict(X).tolist()


@pytest.mark.parametrize("warn_only", [False, True])
def test_training_on_a_gpu_has_no_deterministic_form(gpu, monkeypatch, warn_only):
    gpu(None)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=warn_only)
    try:
        assert choose_device("auto") == torch.device("cuda")  # to read
        chosen = choose_device("auto", training=True)
        notices = fallback_notices("auto", chosen, training=True)
        monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
        if warn_only:
            assert chosen == choose_device("cuda") == torch.device("cuda")
            assert notices == []
            return
        assert chosen == choose_device("auto") == devices.CPU
        assert "not all operations of training have a deterministic" in notices[0][0]
        with pytest.raises(ValueError, match="'cuda' cannot be used: .* determin"):
            choose_device("cuda", training=True)
        with pytest.raises(ValueError, match="needs ':4096:8' in the environment"):
            choose_device("cuda")
    finally:
        torch.use_deterministic_algorithms(False)
    assert choose_device("auto", training=True) == torch.device("cuda")


# ---- the trial and the current device ---------------------------------------------


def test_the_trial_runs_an_update_and_draws_no_random_numbers(monkeypatch):
    before, shapes = torch.get_rng_state(), []
    backward = torch.Tensor.backward

    def note(loss, *args, **kwargs):
        shapes.append(loss.shape)
        return backward(loss, *args, **kwargs)

    monkeypatch.setattr(torch.Tensor, "backward", note)
    with torch.inference_mode(), torch.device("meta"):  # whatever the user has set
        devices._run_kernels(devices.CPU)
    assert set(shapes) == {()}
    assert torch.equal(torch.get_rng_state(), before)


def test_a_gpu_that_is_named_is_the_current_one_meanwhile(monkeypatch):
    current = [0]

    def exchange(index):
        before, current[0] = current[0], index
        return before

    monkeypatch.setattr(torch.cuda, "_exchange_device", exchange)
    monkeypatch.setattr(torch.cuda, "_maybe_exchange_device", exchange)
    for name, expected in {"cuda:1": 1, "cuda": 0, "cpu": 0, "cpu:0": 0}.items():
        with use_device(torch.device(name)):
            assert current == [expected]
        assert current == [0]
    with pytest.raises(KeyError), use_device(torch.device("cuda:1")):
        raise KeyError
    assert current == [0]
