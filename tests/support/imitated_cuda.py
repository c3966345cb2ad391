"""A CUDA device that computes on the CPU, for a process of PyTorch's CPU build.

Tensors on it are of a subclass that says ``cuda:0`` and holds an ordinary tensor. It
refuses what CUDA refuses: operands on two devices, a generator of another device, NumPy
without a copy, the backward pass of an LSTM in evaluation mode. It counts the kernels
that operations would launch, and by line of the package where the program would wait
for the device. What is copied to the CPU without waiting is NaN until an event that was
recorded later is waited for. As cuDNN does, LSTMs compute in float16 under autocast,
whatever its dtype.

It tells nothing of the speed of a GPU, nor of the rounding of its kernels.

`cuda_library.load` has to be called before this is imported.
"""

import contextlib
import copy
import sys
import weakref
from collections import Counter
from pathlib import Path

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from support.cuda_kernels import KERNELS

CUDA = torch.device("cuda:0")

# Operations that launch nothing, as they return views or do not compute.
_FREE = set(
    "_has_compatible_shallow_copy_type _reshape_alias _unsafe_view alias as_strided "
    "chunk detach diagonal empty empty_like empty_strided expand is_same_size "
    "lift_fresh movedim narrow new_empty new_empty_strided permute select set_ slice "
    "split split_with_sizes squeeze t transpose unbind unfold unsqueeze view".split()
)
# Kernels of those that launch more than one, by estimate.
_KERNELS = {
    "_ctc_loss": 1 + 3,  # with the copies of the lengths
    "_ctc_loss_backward": 6 + 3,
    "_index_put_impl_": 14,  # sorts the indices
    "batch_norm_backward_reduce": 2,
    "batch_norm_stats": 2,
    "convolution": 1.5,  # the kernel, and conversions of the layout
    "convolution_backward": 3.5,
    "max_pool2d_with_indices_backward": 2,
    "nanmedian": 2,
    "native_batch_norm": 3,
    "native_batch_norm_backward": 2,
}
_TENSORS_A_KERNEL = 30  # of operations on lists of them
# Operations after which the program waits, and how often.
_WAITING = {
    "_ctc_loss": 3,  # lengths and offsets come from memory that is not pinned
    "_ctc_loss_backward": 3,
    "_local_scalar_dense": 1,
    "_unique2": 1,
    "equal": 1,
    "is_nonzero": 1,
    "masked_select": 1,
    "nonzero": 1,
}

current = None  # the device that is imitated now


class CudaTensor(torch.Tensor):
    """Tensor on the imitated device, with its values in `values`."""

    @staticmethod
    def __new__(cls, values):
        self = torch.Tensor._make_wrapper_subclass(
            cls,
            values.size(),
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=CUDA,
        )
        self.values = values
        return self

    def __repr__(self):
        return f"CudaTensor({self.values})"

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            twin = CudaTensor(self.values.clone())
            if isinstance(self, torch.nn.Parameter):
                twin = torch.nn.Parameter(twin, requires_grad=self.requires_grad)
            twin.grad = copy.deepcopy(self.grad, memo)
            memo[id(self)] = twin
        return memo[id(self)]

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        return current.run(function, args, kwargs or {})


def _open(value):
    return value.values if isinstance(value, CudaTensor) else value


def _wrap(value):
    return CudaTensor(value) if type(value) is torch.Tensor else value


class Generator(torch.Generator):
    """Generator that says it is on the device."""

    def __new__(cls, device="cpu"):
        self = super().__new__(cls, "cpu")
        self.kind = torch.device(device).type
        return self

    def __init__(self, device="cpu"):
        pass

    @property
    def device(self):
        return CUDA if self.kind == "cuda" else torch.device("cpu")

    def __deepcopy__(self, memo):
        return Generator(self.kind).set_state(self.get_state())


class _NoteGenerators(TorchFunctionMode):
    """Notes the kind of the generator, which the operations below do not see."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        generator = kwargs.get("generator")
        if generator is not None:
            current.drawing = generator.device.type
        return function(*args, **kwargs)


class Event:
    """Event of the only stream; waiting for it lets copies before it arrive."""

    def __init__(self, **options):
        self.copies = []

    def record(self, stream=None):
        self.copies = list(current.copies)

    def query(self):
        return False

    def synchronize(self):
        current.note_wait("event")
        current.arrive(self.copies)


class Device(TorchDispatchMode):
    """The device, and what was noted of it since `forget` was called."""

    def __init__(self, capability):
        super().__init__()
        self.capability = capability
        self.drawing = "cpu"  # kind of the generator that is drawn from
        self.room = None  # elements of the largest tensor that there is memory for
        self.copies = []  # (target, values) of copies under way to the CPU
        self.pinned = weakref.WeakValueDictionary()
        self.forget()

    def forget(self):
        self.launches, self.waits = Counter(), Counter()
        self.lstm_dtypes = set()

    @property
    def n_launches(self):
        return sum(self.launches.values())

    @property
    def n_waits(self):
        return sum(self.waits.values())

    def note_wait(self, cause, times=1):
        frame, place = sys._getframe(), "elsewhere"
        while frame is not None:
            if "/skcaptcha/" in frame.f_code.co_filename:
                place = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                break
            frame = frame.f_back
        self.waits[f"{cause} at {place}"] += times

    def arrive(self, copies=None):
        """Let copies to the CPU arrive, all of them by default."""
        for pair in list(self.copies if copies is None else copies):
            target, values = pair
            target.copy_(values)
            self.copies = [other for other in self.copies if other is not pair]

    def pin(self, tensor):
        self.pinned[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    def is_pinned(self, tensor):
        return tensor.untyped_storage().data_ptr() in self.pinned

    # The operations

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return self.run(function, args, kwargs or {})

    def run(self, function, args, kwargs):
        name = function._schema.name.removeprefix("aten::")
        if name == "_to_copy":
            return self._copy(function, args[0], kwargs)
        if name == "copy_":
            return self._copy_into(function, *args)
        leaves = tree_leaves((args, kwargs))
        tensors = [value for value in leaves if isinstance(value, torch.Tensor)]
        ours = [tensor for tensor in tensors if isinstance(tensor, CudaTensor)]
        target = kwargs.get("device")
        target = None if target is None else torch.device(target).type
        here = bool(ours) if target is None else target == "cuda"
        self._check_generators(leaves, here, function)
        if not (here or ours):
            found = function(*args, **kwargs | _without_pinning(kwargs))
            return self.pin(found) if kwargs.get("pin_memory") else found
        self._check_devices(name, args, tensors, function)
        if name in _WAITING:
            self.note_wait(name, _WAITING[name])
        self._note_launches(name, args)
        if target is not None:
            kwargs = {**kwargs, "device": torch.device("cpu")}
        kwargs |= _without_pinning(kwargs)
        compute = KERNELS.get(name, function)
        found = compute(*tree_map(_open, args), **tree_map(_open, kwargs))
        self._check_room(found)
        if name.endswith("_") and not name.endswith("__") and found is not None:
            return args[0]
        return kwargs["out"] if "out" in kwargs else tree_map(_wrap, found)

    def _check_generators(self, leaves, here, function):
        for value in leaves:
            if isinstance(value, torch._C.Generator):
                wanted = "cuda" if here else "cpu"
                if self.drawing != wanted:
                    raise RuntimeError(
                        f"Expected a '{wanted}' device type for generator but found "
                        f"'{self.drawing}' (in {function})"
                    )

    def _check_devices(self, name, args, tensors, function):
        if name in ("index", "index_put_", "_index_put_impl_"):
            for index in args[1]:
                if index is not None and index.dtype in (torch.bool, torch.uint8):
                    self.note_wait("boolean index")
                if index is not None and not isinstance(index, CudaTensor):
                    self.note_wait("index on the CPU")
            return
        if name in ("_use_cudnn_ctc_loss", "_use_miopen_ctc_loss"):
            return  # which take targets of the CPU
        strangers = [t for t in tensors if not isinstance(t, CudaTensor)]
        if any(tensor.dim() for tensor in strangers):
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two "
                f"devices, cuda:0 and cpu! (in {function})"
            )
        if name.startswith("_fused") and strangers:
            raise RuntimeError(f"{name} takes no tensors of the CPU, not even steps")

    def _note_launches(self, name, args):
        if name.startswith(("_foreach", "_fused", "_amp_foreach")):
            n_tensors = len(args[0])
            self.launches[name] += -(-n_tensors // _TENSORS_A_KERNEL)
        elif name not in _FREE:
            self.launches[name] += _KERNELS.get(name, 1)

    def _copy(self, function, source, kwargs):
        """Copy to another device or dtype."""
        was = "cuda" if isinstance(source, CudaTensor) else "cpu"
        target = torch.device(kwargs.get("device") or was).type
        options = {**kwargs, "device": torch.device("cpu")}
        options |= _without_pinning(kwargs)
        found = function(_open(source), **options)
        if was == "cpu" == target:
            return found
        if found is _open(source):
            found = found.clone()
        self.launches["copy"] += 1
        if was != target:
            late = kwargs.get("non_blocking") and self.is_pinned(source)
            if not (late and target == "cuda"):
                self.note_wait(f"copy to {target}")
        self._check_room(found)
        return CudaTensor(found) if target == "cuda" else found

    def _copy_into(self, function, target, source, non_blocking=False):
        """Copy into a tensor, maybe from another device."""
        to_cuda, from_cuda = (isinstance(t, CudaTensor) for t in (target, source))
        if to_cuda or from_cuda:
            self.launches["copy"] += 1
        if to_cuda == from_cuda:
            function(_open(target), _open(source))
        elif to_cuda:
            if not (non_blocking and self.is_pinned(source)) and source.dim():
                self.note_wait("copy to cuda")
            function(_open(target), source)
        elif non_blocking and self.is_pinned(target):
            target.fill_(float("nan") if target.is_floating_point() else -1)
            self.copies.append((target, source.values.clone()))
        else:
            self.note_wait("copy to cpu")
            function(target, source.values)
        return target

    def _check_room(self, found):
        if self.room is None:
            return
        for tensor in tree_leaves(found):
            if isinstance(tensor, torch.Tensor) and tensor.numel() > self.room:
                raise torch.OutOfMemoryError("CUDA out of memory. (imitated)")


def _without_pinning(kwargs):
    return {"pin_memory": False} if kwargs.get("pin_memory") else {}


# What cannot be seen among the operations

_lstm, _ctc_loss = torch._VF.lstm, torch.ctc_loss


class _CudnnLSTM(torch.autograd.Function):
    """A layer of cuDNN's LSTM in some dtype."""

    @staticmethod
    def forward(ctx, x, h, c, training, dtype, *weights):
        with torch.enable_grad():
            leaves = [
                t.values.detach().to(dtype).float().requires_grad_()
                for t in (x, *weights)
            ]
            states = [h.values.float(), c.values.float()]
            y, *states = _lstm(
                leaves[0], states, leaves[1:], True, 1, 0.0, training, False, False
            )
        ctx.leaves, ctx.y, ctx.training, ctx.dtype = leaves, y, training, dtype
        ctx.dtypes = [t.dtype for t in (x, *weights)]
        found = [CudaTensor(t.detach().to(dtype)) for t in (y, *states)]
        ctx.mark_non_differentiable(*found[1:])
        ctx.set_materialize_grads(False)
        return tuple(found)

    @staticmethod
    def backward(ctx, gradient, *_):
        if not ctx.training:
            raise RuntimeError("cudnn RNN backward can only be called in training mode")
        found = torch.autograd.grad(ctx.y, ctx.leaves, gradient.values.float())
        current.launches["cudnn LSTM, backward"] += 4
        of_x, *of_weights = (
            CudaTensor(values.to(ctx.dtype).to(dtype))
            for values, dtype in zip(found, ctx.dtypes, strict=True)
        )
        return of_x, None, None, None, None, *of_weights


def _run_lstm(x, states, weights, *options):
    if not isinstance(x, CudaTensor):
        return _lstm(x, states, weights, *options)
    has_biases, n_layers, _, training, bidirectional, batch_first = options
    assert has_biases and n_layers == 1 and not (bidirectional or batch_first)
    if not all(isinstance(t, CudaTensor) for t in (*states, *weights)):
        raise RuntimeError("Input and parameter tensors are not at the same device")
    dtype = x.dtype
    if torch.is_autocast_enabled("cuda"):
        dtype = torch.float16
        current.launches["casts of the LSTM"] += 4
    elif any(t.dtype != dtype for t in (*states, *weights)):
        raise RuntimeError("Input, hidden and weight tensors have different dtypes")
    current.lstm_dtypes.add(dtype)
    current.launches["cudnn LSTM"] += 4
    return _CudnnLSTM.apply(x, *states, training, dtype, *weights)


def _run_ctc_loss(log_probs, targets, input_lengths, target_lengths, *options):
    if isinstance(log_probs, CudaTensor):
        lengths = [input_lengths, target_lengths]
        for values in lengths:
            if isinstance(values, CudaTensor):
                current.note_wait("lengths of the CTC loss")
        input_lengths, target_lengths = (_open(v).tolist() for v in lengths)
    return _ctc_loss(log_probs, targets, input_lengths, target_lengths, *options)


class _Functions:
    """`torch._VF` with another LSTM."""

    lstm = staticmethod(_run_lstm)

    def __getattr__(self, name):
        return getattr(torch._VF, name)


class _InferenceMode(contextlib.ContextDecorator):
    """No gradients; in the real mode wrappers cannot be made of views."""

    def __init__(self, mode=True):
        self.mode = mode

    def __enter__(self):
        self.contexts = contextlib.ExitStack()
        if self.mode:
            self.contexts.enter_context(torch.no_grad())

    def __exit__(self, *error):
        self.contexts.close()


def _synchronize(device=None):
    current.note_wait("synchronize")
    current.arrive()


def _list_patches(device):
    """Return (owner, name, value) of what is not an operation."""
    gigabytes = 80 * 10**9
    recent = device.capability >= (8, 0)
    return [
        (torch.cuda, "is_available", lambda: True),
        (torch.cuda, "device_count", lambda: 1),
        (torch.cuda, "current_device", lambda: 0),
        (torch.cuda, "current_stream", lambda *_: None),
        (torch.cuda, "get_device_capability", lambda *_: device.capability),
        (torch.cuda, "is_bf16_supported", lambda *_, **__: recent),
        (torch.cuda, "mem_get_info", lambda *_: (gigabytes, gigabytes)),
        (torch.cuda, "empty_cache", lambda: None),
        (torch.cuda, "synchronize", _synchronize),
        (torch.cuda, "Event", Event),
        (torch.cuda, "_lazy_init", lambda: None),
        (torch.cuda.amp.common, "amp_definitely_not_available", lambda: False),
        (torch, "Generator", Generator),
        (torch, "inference_mode", _InferenceMode),
        (torch, "ctc_loss", _run_ctc_loss),
        (torch.nn.modules.rnn, "_VF", _Functions()),
        (torch.Tensor, "pin_memory", lambda tensor: device.pin(tensor.clone())),
        (torch.Tensor, "is_pinned", device.is_pinned),
    ]


@contextlib.contextmanager
def imitate(capability=(9, 0)):
    """Let PyTorch have a CUDA device meanwhile; yield the `Device`."""
    global current
    device = Device(capability)
    patches = _list_patches(device)
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in patches]
    future, core = torch.__future__, torch._C
    overwrite = future.get_overwrite_module_params_on_conversion()
    lift = core._only_lift_cpu_tensors()
    try:
        for patch in patches:
            setattr(*patch)
        future.set_overwrite_module_params_on_conversion(True)
        core._set_only_lift_cpu_tensors(True)
        current = device
        with device, _NoteGenerators():
            yield device
    finally:
        current = None
        for original in originals:
            setattr(*original)
        future.set_overwrite_module_params_on_conversion(overwrite)
        core._set_only_lift_cpu_tensors(lift)
