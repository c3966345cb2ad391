"""Older and newer versions of PyTorch and scikit-learn, as far as can be imitated."""

import ast
import importlib
import sys

import pytest
import sklearn
import torch
from support.data import ROOT, TINY

from skcaptcha import CaptchaRecognizer, _sklearn_compat, _torch_compat

# Whatever has to do with what a version lacks.
COMPAT = {"_torch_compat.py", "_sklearn_compat.py"}
# Private names with a fallback where they stand.
WITH_FALLBACK = {("training/optimizer.py", "_fused_adamw_")}


def list_private_names(source):
    """Names with a leading underscore that a source takes from PyTorch or sklearn."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            parts = (node.module or "").split(".")
            names = [*parts, *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                names = alias.name.split(".")
        elif isinstance(node, ast.Attribute):
            names = ast.unparse(node).split(".")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "getattr":
            names = [*ast.unparse(node.args[0]).split("."), *literal(node.args[1])]
        else:
            continue
        if names[0] in {"torch", "sklearn", "nn", "functional", "distributed"}:
            found |= {n for n in names if n.startswith("_") and not n.endswith("__")}
    return found


def literal(node):
    return [node.value] if isinstance(node, ast.Constant) else []


def test_private_names_have_a_fallback():
    for path in sorted((ROOT / "skcaptcha").rglob("*.py")):
        if path.name in COMPAT:
            continue
        name = path.relative_to(ROOT / "skcaptcha").as_posix()
        private = list_private_names(path.read_text("utf-8"))
        private -= {n for file, n in WITH_FALLBACK if file == name}
        assert not private, f"{name} takes what may go: {sorted(private)}"


@pytest.mark.parametrize(
    "source, private",
    [
        ("torch._foreach_mul_(a, 2)", {"_foreach_mul_"}),
        ("from sklearn.utils._param_validation import x", {"_param_validation"}),
        ("import torch._dynamo", {"_dynamo"}),
        ("getattr(torch.cpu, '_is_x', None)", {"_is_x"}),
        ("torch.__version__, self._torch, torch.mul", set()),
    ],
)
def test_the_rule_tells_private_from_public(source, private):
    assert list_private_names(source) == private


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("add_", (0.5,)),
        ("mul_", (0.5,)),
        ("div_", ([0.5, 2.0],)),
        ("lerp_", ("others", 0.25)),
        ("addcmul_", ("others", "others", 0.25)),
        ("addcdiv_", ("others", "others", [0.25, 2.0])),
        ("norm", ()),
        ("sqrt", ()),
    ],
)
def test_a_loop_computes_as_what_it_stands_in_for(name, arguments):
    results = []
    for function in (_torch_compat.find_foreach(name), _torch_compat.make_loop(name)):
        tensors = [torch.arange(1.0, 4), torch.arange(1.0, 7).view(2, 3)]
        others = [t + 1 for t in tensors]
        given = [others if a == "others" else a for a in arguments]
        found = function(tensors, *given)
        results.append(tensors if name.endswith("_") else found)
    torch.testing.assert_close(*map(list, results))


@pytest.fixture
def older(monkeypatch):
    """Function that takes names from a module and imports another one without them."""
    reloaded = []

    def without(module, names, compat):
        for name in names:
            monkeypatch.delattr(module, name, raising=False)
        reloaded.append(compat)
        return importlib.reload(compat)

    yield without
    monkeypatch.undo()
    for compat in reloaded:
        importlib.reload(compat)


def test_a_pytorch_without_newer_and_private_names(older):
    names = ("OutOfMemoryError", "AcceleratorError", "_foreach_mul_", "_foreach_norm")
    compat = older(torch, names, _torch_compat)
    assert issubclass(compat.OutOfMemoryError, RuntimeError)
    assert issubclass(compat.AcceleratorError, RuntimeError)
    tensors = [torch.ones(2), torch.ones(3)]
    compat.foreach.mul_(tensors, 3)
    assert [t.tolist() for t in tensors] == [[3, 3], [3, 3, 3]]


def test_a_cpu_that_pytorch_says_nothing_of_learns_in_float32(older):
    names = ("_is_avx512_bf16_supported",)
    assert not older(torch.cpu, names, _torch_compat).has_fast_bfloat16()


@pytest.mark.parametrize(
    ("cpu", "fast"),
    [
        ({"cpu_name": "Intel Xeon", "amx_bf16": False}, False),
        ({"cpu_name": "Intel Xeon", "amx_bf16": True}, True),
        ({"cpu_name": "AMD Zen 4", "amx_bf16": False}, True),
        ({}, True),  # whose it is, is not known
    ],
)
def test_bfloat16_is_for_cpus_that_are_fast_in_it(monkeypatch, cpu, fast):
    for name, value in (("_is_avx512_bf16_supported", True), ("get_capabilities", cpu)):
        monkeypatch.setattr(torch.cpu, name, lambda v=value: v, raising=False)
    assert _torch_compat.has_fast_bfloat16() is fast
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert not _torch_compat.has_fast_bfloat16()


def test_a_scikit_learn_without_callbacks(older, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    compat = older(sklearn, (), _sklearn_compat)
    assert not compat.HAS_CALLBACKS
    assert not isinstance([], compat.FitCallback)

    class Estimator(compat.CallbackSupportMixin):
        @compat.with_callbacks
        def fit(self):
            return self

    assert isinstance(Estimator().fit(), Estimator)
    with pytest.raises(ImportError, match="need scikit-learn 1.9, and this is"):
        Estimator().set_callbacks(print)


@pytest.mark.filterwarnings("ignore:The network has not learned to read")
def test_a_fit_needs_no_callbacks(some, monkeypatch):
    monkeypatch.setattr("skcaptcha.recognizer.HAS_CALLBACKS", False)
    X, y = some
    assert len(CaptchaRecognizer(max_iter=1, **TINY).fit(X, y).predict(X)) == len(X)
