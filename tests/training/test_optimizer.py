"""AdamW computes as PyTorch's does, and loads less."""

import subprocess
import sys
import textwrap

import pytest
import torch
from support.small_fits import NETWORK_CONFIG, generator, training_config

from skcaptcha.model.network import build_network
from skcaptcha.training import optimizer as _optimizer
from skcaptcha.training.optimizer import AdamW, make_optimizer


def test_the_optimizer_computes_as_that_of_pytorch():
    rng = torch.Generator().manual_seed(0)
    shapes = ((3, 4), (5,), (2, 3, 3, 3))
    settings = {"lr": 3e-3, "betas": (0.9, 0.99)}
    found = []
    start = [torch.randn(shape, generator=rng) for shape in shapes]
    gradients = [[torch.randn(s, generator=rng) for s in shapes] for _ in range(20)]
    for optimizer_class in (AdamW, torch.optim.AdamW):
        parameters = [torch.nn.Parameter(values.clone()) for values in start]
        optimizer = optimizer_class(
            [
                {"params": parameters[:2], "weight_decay": 0.1},
                {"params": parameters[2:], "weight_decay": 0.0},
            ],
            **settings,
        )
        for i, drawn in enumerate(gradients):
            optimizer.zero_grad()
            for parameter, gradient in zip(parameters, drawn, strict=True):
                if i % 4 or parameter.ndim > 1:  # some have none now and then
                    parameter.grad = gradient.clone()
            optimizer.param_groups[0]["lr"] = 3e-3 / (i + 1)
            optimizer.step()
        found.append(parameters)
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("is_finite", [1.0, 0.0])
def test_a_step_depends_on_numbers_of_the_device(fused, is_finite, monkeypatch):
    if not fused:
        monkeypatch.setattr(_optimizer, "_FUSED", None)
    found = []
    for factor, arguments in (
        (1.0, ()),
        (4.0, (torch.tensor(4.0), torch.tensor(is_finite))),
    ):
        parameter = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
        optimizer = AdamW(
            [{"params": [parameter], "weight_decay": 0.1}], lr=0.1, betas=(0.9, 0.99)
        )
        for _ in range(3):
            parameter.grad = factor * torch.tensor([0.5, -3.0])
            optimizer.step(*arguments)
        found.append((parameter.detach(), optimizer.state[parameter]["step"].item()))
    (expected, _), (values, step) = found
    if is_finite:
        torch.testing.assert_close(values, expected)
    else:
        assert values.tolist() == [1.0, 2.0]
    assert step == 3 * is_finite


def test_weight_decay_spares_biases_and_norms():
    network = build_network(NETWORK_CONFIG, generator())
    decayed, spared = make_optimizer(network, training_config()).param_groups
    names = {id(p): name for name, p in network.named_parameters()}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.01, 0.0)
    assert all("weight" in names[id(p)] for p in decayed["params"])
    spared_names = {names[id(p)] for p in spared["params"]}
    assert {
        "blocks.0.norm.weight",
        "head.bias",
        "lstms.0.ahead.bias_ih_l0",
    } <= spared_names


@pytest.mark.slow
def test_neither_a_fit_nor_reading_loads_the_compiler():
    """It takes longer to load than many an epoch."""
    code = """
        import sys, warnings
        import numpy as np
        from skcaptcha import CaptchaRecognizer
        warnings.simplefilter("ignore")
        images = [np.full((16, 40), i, np.uint8) for i in range(4)]
        fitted = CaptchaRecognizer(max_iter=1).fit(images, ["a", "b"] * 2)
        fitted.predict(images)
        print({"torch._dynamo", "torch._inductor", "sympy"} & sys.modules.keys())
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "set()\n"
