"""A trained network as it reads: the same sums in fewer and faster steps."""

import weakref

import torch
from torch import nn
from torch.nn import functional

from skcaptcha.model.network import count_steps, reduce_height, standardize
from skcaptcha.model.normalization import make_padding

# Network -> the state of its weights, and what was prepared of them. It is held here
# and not by the network, so that it is neither copied nor saved with it.
_PREPARED = weakref.WeakKeyDictionary()


def prepare(network, make=None):
    """Return a network prepared for reading, made anew only if its weights changed.

    PyTorch counts the changes of a tensor, but for those through ``.data`` or a NumPy
    view, which go unnoticed here. Threads may call it at once; the worst that happens
    is that two of them make it.

    Parameters
    ----------
    network : CRNN
        The network, which stays as it is.
    make : callable, default=None
        Makes of it what is returned; None is `PreparedNetwork`.

    Returns
    -------
    PreparedNetwork
        Or what `make` returns.
    """
    make = PreparedNetwork if make is None else make
    state = _describe_weights(network)
    known = _PREPARED.get(network, {})
    kept = known.get(make)
    if kept is None or kept[0] != state:
        kept = state, make(network)
        _PREPARED[network] = {**known, make: kept}
    return kept[1]


def _describe_weights(network):
    """Return what differs after the weights were replaced, changed or moved."""
    tensors = (*network.parameters(), *network.buffers())
    return [
        (t.data_ptr(), None if t.is_inference() else t._version, t.device)
        for t in tensors
    ]


class PreparedNetwork(nn.Module):
    """What a `CRNN` computes in evaluation mode, but for rounding.

    Normalization becomes a part of the convolution before it.

    Parameters
    ----------
    network : CRNN
        The network, which stays as it is. What follows the convolutions is its own.
    """

    @torch.inference_mode(False)
    @torch.no_grad()
    def __init__(self, network):
        super().__init__()
        self.blocks = nn.ModuleList(map(_PreparedBlock, network.blocks))
        self.lstms, self.head = network.lstms, network.head

    def forward(self, images, widths=None):
        """Return log-probabilities (T, N, K) and lengths (N,), as `CRNN` does."""
        padded = make_padding(images, widths)
        mask = None if padded is None else padded.mask
        x = standardize(images, mask).contiguous(memory_format=torch.channels_last)
        padding = padded
        for block in self.blocks:
            x, padding = block(x, padding)
        x = reduce_height(x)
        lengths = count_steps(x, padded)
        for lstm in self.lstms:
            x = lstm(x, None if padded is None else lengths)  # (T, N, 2 * units)
        return self.head(x).log_softmax(-1), lengths


class _PreparedBlock(nn.Module):
    """What a `ConvBlock` computes in evaluation mode."""

    def __init__(self, block):
        super().__init__()
        conv, norm = block.conv, block.norm
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * scale
        self.conv_stride, self.stride = conv.stride, block.stride
        self.pooling, self.residual = block.pooling, block.residual
        # A negative factor makes the greatest of several places the least.
        self.scales_after = block.pooling and bool((scale < 0).any())
        weight = conv.weight
        if not self.scales_after:
            weight = weight * scale[:, None, None, None]
        weight = weight.detach().contiguous(memory_format=torch.channels_last)
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale[:, None, None])
        self.register_buffer("shift", shift)

    def forward(self, x, padding):
        """Return the new map (N, C, H, W) and its padding."""
        before = x
        bias = None if self.scales_after else self.shift
        x = convolve(x, self.weight, bias, self.conv_stride)
        if self.pooling:
            x = max_pool(x, self.stride)
        if self.scales_after:
            x = torch.addcmul(self.shift[:, None, None], x, self.scale)
        if padding is not None:
            padding = padding.stride(self.stride[1])
            x = padding.clear_(x)
        x = x.relu_()
        return x.add_(before) if self.residual else x, padding


def convolve(x, weight, bias, stride):
    """Convolve with 3x3 weights, by oneDNN on the CPU where PyTorch has it.

    For one small image and one thread ``conv2d`` prefers a kernel of twice the time.
    """
    if x.device.type == "cpu" and has_fast_onednn():
        return torch.mkldnn_convolution(x, weight, bias, (1, 1), stride, (1, 1), 1)
    return functional.conv2d(x, weight, bias, stride, 1)


def has_fast_onednn():
    """Tell whether oneDNN is there and enabled, on a CPU that it is made for."""
    mkldnn = torch.backends.mkldnn
    fast = torch.backends.cpu.get_cpu_capability().startswith("AVX")
    return fast and mkldnn.is_available() and mkldnn.enabled


def max_pool(x, size):
    """Return the greatest of each 2x1 or 2x2 places; a last odd row is kept as it is.

    This is ``max_pool2d`` with ``ceil_mode=True`` in less time on the CPU, as nothing
    has to be known of where the greatest stood.
    """
    if x.device.type != "cpu":
        return functional.max_pool2d(x, size, ceil_mode=True)
    height = x.shape[2]
    y = torch.maximum(x[:, :, 0 : height - 1 : 2], x[:, :, 1::2])
    if height % 2:
        y = torch.cat([y, x[:, :, -1:]], dim=2)
    if size[1] == 2:  # the width is even
        y = torch.maximum(y[..., 0::2], y[..., 1::2])
    return y
