"""Faults that the imitated CUDA device notices, put into the package one by one."""

import contextlib
import inspect
import textwrap

from skcaptcha import _transfer
from skcaptcha.images import _tensors
from skcaptcha.model import inference, network, normalization
from skcaptcha.training import augmentation, ctc, losses, optimizer, step
from support.cuda_tasks import (
    VARIED,
    count_batches,
    count_updates,
    find_the_gradients_of_the_cpu,
    fit,
    fit_in_half_precision,
    learn_as_the_cpu_does,
    run,
    skip_what_is_not_finite,
)


def fit_once(device):
    """All that an injected fault needs to show, mostly."""
    fit(VARIED, dropout=0.1).predict(VARIED[:5])


# The task that notices it, a function, a piece of its source, and another one for it.
FAULTS = {
    "widths stay on the CPU": (
        fit_once,
        _tensors.place_images,
        "return batch, widths, send(widths, device)",
        "return batch, widths, widths",
    ),
    "columns are counted on the CPU": (
        fit_once,
        normalization.Padding.__init__,
        "torch.arange(width, device=device)",
        "torch.arange(width)",
    ),
    "places of the LSTM stay on the CPU": (
        count_batches,
        network.BidirectionalLSTM.forward,
        "send(mirror_steps(len(x), lengths), x.device)",
        "mirror_steps(len(x), lengths)",
    ),
    "the LSTM is under autocast": (
        fit_in_half_precision,
        network.CRNN.forward,
        'torch.autocast("cuda", enabled=False)',
        "contextlib.nullcontext()",
    ),
    "dropout is drawn by a generator of the CPU": (
        fit_once,
        step.Trainer.begin,
        "torch.Generator(device)",
        'torch.Generator("cpu")',
    ),
    "weights are drawn by a generator of the device": (
        fit_once,
        step.Trainer.begin,
        "build_network(config, self.generator)",
        "build_network(config, torch.Generator(device))",
    ),
    "the network stays on the CPU": (
        fit_once,
        step.Trainer.begin,
        "network.to(device).train()",
        "network.train()",
    ),
    "the LSTM is in evaluation mode": (
        fit_once,
        step.Trainer.begin,
        "network.to(device).train()",
        "network.to(device).eval()",
    ),
    "moments stay on the CPU": (
        fit_once,
        optimizer.AdamW._begin,
        'state["exp_avg"] = torch.zeros_like(parameter)',
        'state["exp_avg"] = torch.zeros(parameter.shape)',
    ),
    "steps are counted on the CPU": (
        fit_once,
        optimizer.AdamW._begin,
        "(), dtype=torch.float32, device=parameter.device",
        "(), dtype=torch.float32",
    ),
    "the states of a text stay on the CPU": (
        fit_once,
        ctc.ctc_losses,
        "send(torch.from_numpy(plan), log_probs.device)",
        "torch.from_numpy(plan)",
    ),
    "a symbol follows its like without a blank": (
        find_the_gradients_of_the_cpu,
        ctc._enter_states,
        "moves[:, 1] += follows[:, None]",
        "pass",
    ),
    "targets of the alignment stay on the CPU": (
        fit_once,
        losses.uniform_alignment_losses,
        "send(torch.from_numpy(padded), share.device)",
        "torch.from_numpy(padded)",
    ),
    "the distortion is computed on the CPU": (
        fit_once,
        augmentation._make_grid_there,
        "send(torch.stack(values, dim=-1), device)",
        "torch.stack(values, dim=-1)",
    ),
    "what is read is not copied to the CPU": (
        fit_once,
        inference._read_batch,
        ".cpu().numpy()",
        ".numpy()",
    ),
    "a loss is read before it is there": (
        skip_what_is_not_finite,
        _transfer.LateValues.read,
        "self._arrival.synchronize()",
        "pass",
    ),
    "an update without a finite loss is made": (
        skip_what_is_not_finite,
        step.Trainer._learn_on_gpu,
        "learned = total - total == 0",
        "learned = total != total - 1",
    ),
    "statistics follow in spite of it": (
        skip_what_is_not_finite,
        normalization.follow_statistics,
        "torch.where(learned, after, before)",
        "after",
    ),
    "padding counts in the statistics": (
        learn_as_the_cpu_does,
        normalization._NormalizationOnCuda.forward,
        "padding.pick_pixels(x)",
        "x",
    ),
    "padding counts in the gradient": (
        find_the_gradients_of_the_cpu,
        normalization.Padding._find_inside,
        "sum(self._ends)",
        "x.shape[3] * len(x)",
    ),
    "padding is not cleared": (
        find_the_gradients_of_the_cpu,
        normalization.Padding.relu_,
        "x.clamp_(put(0.0, torch.float32, x.device), self._limit)",
        "x.relu_()",
    ),
    "the alignment is unlearned": (
        find_the_gradients_of_the_cpu,
        losses.uniform_alignment_losses,
        "share / -len(targets)",
        "share / len(targets)",
    ),
    "what is sent is waited for": (
        count_batches,
        _transfer.send,
        "values.pin_memory().to(device, non_blocking=True)",
        "values.to(device)",
    ),
    "an update asks for its loss at once": (
        count_updates,
        step.Trainer._learn_on_gpu,
        "return LateValues(values)",
        "return LateValues(values) if values.isfinite().all() else 0",
    ),
}


@contextlib.contextmanager
def injected(function, old, new):
    """Let a function have another source for a while, wherever it is referred to."""
    function = inspect.unwrap(function)
    source = textwrap.dedent(inspect.getsource(function))
    source = source[source.index("def ") :]
    assert source.count(old) == 1, (function, old)
    names = {}
    exec(source.replace(old, new), dict(function.__globals__), names)
    (changed,) = names.values()
    original = function.__code__
    function.__code__ = changed.__code__
    try:
        yield
    finally:
        function.__code__ = original


def is_noticed(task, *fault, capability):
    """Tell whether a task that passes without a fault fails with it."""
    with injected(*fault):
        return run(task, capability) is not None
