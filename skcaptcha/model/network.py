"""The convolutional recurrent network (CRNN) that reads one line of text."""

import contextlib
import copy

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from skcaptcha._transfer import send
from skcaptcha.model import geometry
from skcaptcha.model.few_launches import CastTogether, standardize_on_cuda
from skcaptcha.model.normalization import MaskedBatchNorm2d, make_padding

__all__ = ["CRNN", "TIME_STRIDE", "build_network", "extend_network"]

TIME_STRIDE = geometry.TIME_STRIDE
"""Columns of the input for each time step of the output."""


class ConvBlock(nn.Module):
    """Convolution 3x3, batch normalization and ReLU, of every `stride`-th place.

    With `pooling` it is the greatest of the places, max pooling after the convolution.
    With `residual` the map that it was given is added, and there is no stride.
    """

    def __init__(
        self, in_channels, out_channels, stride, *, pooling=False, residual=False
    ):
        super().__init__()
        self.stride, self.pooling, self.residual = stride, pooling, residual
        step = 1 if pooling else stride
        self.conv = nn.Conv2d(
            in_channels, out_channels, 3, stride=step, padding=1, bias=False
        )
        self.norm = MaskedBatchNorm2d(out_channels)

    def forward(self, x, padding=None, all_reduce=None, observed=None, weight=None):
        """Return the new map (N, C, H, W) and its padding.

        `weight` is that of the convolution in another dtype.
        """
        if self.residual:
            added = self._transform(x, padding, all_reduce, observed, weight)
            return x + added, padding
        if padding is not None:
            padding = padding.stride(self.stride[1])
        return self._transform(x, padding, all_reduce, observed, weight), padding

    def _transform(self, x, padding, all_reduce, observed, weight):
        """Return the new map, for the padding that it has."""
        if not (self.pooling or self.norm.training):
            return self._convolve_and_normalize(x, padding)
        conv = self.conv
        if weight is None:
            x = conv(x)
        else:
            x = functional.conv2d(x, weight, None, conv.stride, conv.padding)
        if self.pooling:
            x = functional.max_pool2d(x, self.stride, ceil_mode=True)
        return self.norm(x, padding, all_reduce, observed)

    def _convolve_and_normalize(self, x, padding):
        """Normalize by given statistics, which is a matter of the weights."""
        conv, norm = self.conv, self.norm
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        x = functional.conv2d(
            x,
            conv.weight * scale[:, None, None, None],
            norm.bias - norm.running_mean * scale,
            conv.stride,
            conv.padding,
        )
        return x.relu_() if padding is None else padding.clear_(x).relu_()


class BidirectionalLSTM(nn.Module):
    """LSTM in both directions, over sequences of different lengths.

    It is two LSTMs, one over the reversed sequences, because PyTorch's fast kernels for
    the CPU take no packed sequences.
    """

    def __init__(self, n_features, units):
        super().__init__()
        self.ahead = nn.LSTM(n_features, units)
        self.back = nn.LSTM(n_features, units)

    def forward(self, x, lengths=None):
        """Return the states (T, N, 2 * units) of `x` of shape (T, N, C).

        `lengths`, on the CPU, are those of the sequences; None if all are T.
        """
        zeros = x.new_zeros(1, x.shape[1], self.ahead.hidden_size)
        start = (zeros, zeros)
        if lengths is None:
            back = self.back(x.flip(0), start)[0].flip(0)
        else:
            places = send(mirror_steps(len(x), lengths), x.device)
            back = self.back(_Mirror.apply(x, *places), start)[0]
            back = _Mirror.apply(back, *places)
        return torch.cat([self.ahead(x, start)[0], back], dim=2)


def mirror_steps(n_steps, lengths):
    """Return where the steps of sequences are in reverse, and their samples.

    These are integers (2, T, N). What comes after the end of a sequence stays there.
    """
    steps = np.arange(n_steps)[:, None]
    mirrored = lengths.numpy() - 1 - steps  # (T, N)
    mirrored = np.where(mirrored < 0, steps, mirrored)
    samples = np.broadcast_to(np.arange(len(lengths)), mirrored.shape)
    return torch.from_numpy(np.stack([mirrored, samples]).astype(np.int64))


class _Mirror(torch.autograd.Function):
    """Reverse each sequence of a batch (T, N, C).

    Done twice, nothing has changed, so the gradient is mirrored likewise. By autograd
    the indices would be sorted first.
    """

    @staticmethod
    def forward(ctx, x, mirrored, rows):
        """Return ``x[mirrored, rows]``."""
        ctx.save_for_backward(mirrored, rows)
        return x[mirrored, rows]

    @staticmethod
    def backward(ctx, gradient):
        """Return the gradient of `x`."""
        return gradient[ctx.saved_tensors], None, None


class CRNN(nn.Module):
    """Convolutions, bidirectional LSTMs and a CTC head over the columns.

    Every convolution block of the network [1]_ has batch normalization, which excludes
    padding.

    Parameters
    ----------
    n_classes : int
        Number of classes, including the CTC blank.
    in_channels : int
        1 for gray images, 3 for color.
    conv_channels : sequence of int
        Output channels of each convolution block. Each block halves the height,
        rounded up, the first two also the width. The maximum over the remaining height
        is taken, so that the number of features does not depend on it.
    lstm_units : int
        Units of each direction of each LSTM.
    lstm_layers : int
        Number of bidirectional LSTMs, 0 for none.
    dropout : float
        Share of the features to drop before each LSTM and the head.
    pooling : bool, default=True
        Whether blocks pool after their convolution, rather than have a stride in it.
    residual_blocks : int, default=0
        Residual blocks [2]_ of one convolution each after every block that leaves the
        width as it is.

    References
    ----------
    .. [1] B. Shi, X. Bai, C. Yao, "An End-to-End Trainable Neural Network for
       Image-based Sequence Recognition and Its Application to Scene Text
       Recognition", TPAMI 39(11), 2017.
    .. [2] K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image
       Recognition", CVPR 2016.

    Examples
    --------
    >>> import torch
    >>> config = {"conv_channels": (8, 16), "lstm_units": 16, "lstm_layers": 1}
    >>> network = CRNN(11, in_channels=1, dropout=0.0, **config).eval()
    >>> log_probs, lengths = network(torch.zeros(2, 1, 16, 40))
    >>> log_probs.shape, lengths.tolist()
    (torch.Size([10, 2, 11]), [10, 10])
    """

    def __init__(
        self,
        n_classes,
        *,
        in_channels,
        conv_channels,
        lstm_units,
        lstm_layers,
        dropout,
        pooling=True,
        residual_blocks=0,
    ):
        super().__init__()
        self.dropout = dropout
        self.frozen = False
        blocks, channels = [], in_channels
        for out_channels, halves_width, residual in geometry.list_blocks(
            conv_channels, residual_blocks
        ):
            if residual:
                block = ConvBlock(channels, channels, (1, 1), residual=True)
            else:
                stride = (2, 2 if halves_width else 1)
                block = ConvBlock(channels, out_channels, stride, pooling=pooling)
            blocks.append(block)
            channels = out_channels
        self.blocks = nn.ModuleList(blocks)
        self.n_features = n_features = channels  # at each time step
        self.auxiliary = nn.Linear(n_features, n_classes)
        self.lstms = nn.ModuleList()
        for _ in range(lstm_layers):
            self.lstms.append(BidirectionalLSTM(n_features, lstm_units))
            n_features = 2 * lstm_units
        self.head = nn.Linear(n_features, n_classes)

    def reset_parameters(self, generator=None):
        """Draw the weights: He for convolutions, Xavier and orthogonal for the rest.

        With PyTorch's defaults CTC training stays on its plateau of blanks.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(
                    module.weight, nonlinearity="relu", generator=generator
                )
            elif isinstance(module, nn.BatchNorm2d):
                module.reset_parameters()
            elif isinstance(module, nn.Linear):
                _reset_head(module, generator)
            elif isinstance(module, nn.LSTM):
                for name, parameter in module.named_parameters():
                    if name.startswith("weight_ih"):
                        nn.init.xavier_uniform_(parameter, generator=generator)
                    elif name.startswith("weight_hh"):
                        for gate in parameter.detach().chunk(4):
                            nn.init.orthogonal_(gate, generator=generator)
                    else:
                        nn.init.zeros_(parameter)
                        if name.startswith("bias_ih"):  # open the forget gate
                            nn.init.ones_(parameter.detach().chunk(4)[1])

    def forward(
        self,
        images,
        widths=None,
        *,
        auxiliary=False,
        generator=None,
        all_reduce=None,
        observed=None,
    ):
        """Read a batch of images.

        Parameters
        ----------
        images : tensor of shape (N, C, H, W), uint8 or float
            Pixels from 0 to 255, padded on the right to the widest.
        widths : tensor of shape (N,) or Padding, optional
            The images' own widths, multiples of ``TIME_STRIDE``; None if all are W.
        auxiliary : bool, default=False
            Also return the output of the auxiliary head over the convolutions, if the
            network has one.
        generator : torch.Generator, optional
            Draws the dropout in training, on the device of `images`.
        all_reduce : callable, optional
            Sums a tensor over the processes that train on parts of a batch.
        observed : list, optional
            Gets the statistics of the batch on a GPU; see `MaskedBatchNorm2d`.

        Returns
        -------
        log_probs : tensor of shape (T, N, K)
            Log-probabilities of the classes in each time step.
        auxiliary_log_probs : tensor of shape (T, N, K)
            Only with ``auxiliary=True`` and an auxiliary head.
        lengths : tensor of shape (N,), on the CPU
            Time steps of each image, without padding.
        """
        padded = make_padding(images, widths)
        mask = None if padded is None else padded.mask
        x = standardize(images, mask).contiguous(memory_format=torch.channels_last)
        padding = padded
        for block, weight in zip(self.blocks, self._cast_weights(x), strict=True):
            x, padding = block(x, padding, all_reduce, observed, weight)
        x = reduce_height(x)
        lengths = count_steps(x, padded)
        own = None if padded is None else lengths
        with contextlib.ExitStack() as stack:
            if x.is_cuda:
                # Under autocast cuDNN's LSTM is in float16, for bfloat16 as well.
                stack.enter_context(torch.autocast("cuda", enabled=False))
                x = x.to(torch.float32, memory_format=torch.contiguous_format)
            logits = self._classify(x, own, auxiliary, generator)
        return *(values.float().log_softmax(-1) for values in logits), lengths

    def _classify(self, x, lengths, auxiliary, generator):
        """Return the logits (T, N, K) of each head, for features (T, N, C)."""
        drop = self._make_dropout(x, generator)
        features = x = drop(x)
        for lstm in self.lstms:
            x = drop(lstm(x, lengths))  # (T, N, 2 * units)
        logits = [self.head(x)]
        if auxiliary and self.auxiliary is not None:
            logits.append(self.auxiliary(features))
        return logits

    def _cast_weights(self, x):
        """Return the weights of the convolutions as autocast has them on a GPU.

        It would cast each by itself. None stands for a weight that it may cast.
        """
        autocast = x.is_cuda and torch.is_autocast_enabled("cuda")
        if not autocast or self.frozen or not self.training:
            return [None] * len(self.blocks)
        weights = (block.conv.weight for block in self.blocks)
        return CastTogether.apply(torch.get_autocast_dtype("cuda"), *weights)

    def freeze_convolutions(self, frozen=True):
        """Freeze or unfreeze the convolution blocks."""
        self.frozen = frozen
        self.blocks.requires_grad_(not frozen)
        self.train(self.training)

    def train(self, mode=True):
        """Set the mode; frozen blocks stay in evaluation mode, for their statistics."""
        super().train(mode)
        for lstm in self.lstms:  # as copies are not contiguous for CUDA
            lstm.ahead.flatten_parameters()
            lstm.back.flatten_parameters()
        if self.frozen:
            self.blocks.eval()
        return self

    def _make_dropout(self, x, generator):
        """Return a function that drops features of `x` (T, N, C), then of each LSTM's.

        nn.Dropout would draw from the global generator.
        """
        if not self.training or self.dropout == 0:
            return lambda x: x
        if x.is_cuda:  # which draws all at once
            sizes = [x.shape[2]] + [2 * lstm.ahead.hidden_size for lstm in self.lstms]
            kept = x.new_empty((*x.shape[:2], sum(sizes)))
            kept = kept.bernoulli_(1 - self.dropout, generator=generator)
            parts = iter(kept.div_(1 - self.dropout).split(sizes, dim=2))
            return lambda x: x * next(parts)

        def drop(x):
            draw = torch.rand(
                x.shape, generator=generator, dtype=torch.float32, device=x.device
            )
            kept = draw >= self.dropout
            return x * kept.to(x.dtype) / (1 - self.dropout)

        return drop


def reduce_height(x):
    """Take the maximum over the height: (N, C, H, T) -> (T, N, C); faster than amax."""
    return functional.max_pool2d(x, (x.shape[2], 1)).squeeze(2).permute(2, 0, 1)


def count_steps(x, padding):
    """Return the time steps (N,) of each image in `x` of shape (T, N, C), on the CPU.

    They are the widths of the images over the columns of a step, or T without padding.
    """
    if padding is None:
        return torch.full((x.shape[1],), len(x), dtype=torch.int64, device="cpu")
    return padding.widths // TIME_STRIDE


def standardize(images, mask=None):
    """Give each image of a batch (N, C, H, W) zero mean and unit variance.

    The mask, of shape (N, 1, 1, W), is zero in padding, and so is the result. One gray
    level is added to the standard deviation, so that the rounding of an empty image
    does not become noise.
    """
    x = images.float()
    if x.is_cuda:
        return standardize_on_cuda(x, mask)
    if mask is None:  # torch.var_mean takes ten times as long on the CPU
        x = x.flatten(1)
        x = x - x.mean(dim=1, keepdim=True)
        deviation = (x * x).mean(dim=1, keepdim=True).sqrt()
        return (x / (deviation + 1)).view(images.shape)
    count = mask.sum(dim=3, keepdim=True) * x.shape[1] * x.shape[2]  # (N, 1, 1, 1)
    mean = (x * mask).sum(dim=(1, 2, 3), keepdim=True) / count
    x = (x - mean) * mask
    variance = (x * x).sum(dim=(1, 2, 3), keepdim=True) / count
    return x / (variance.sqrt() + 1)


@torch.inference_mode(False)
def build_network(config, generator=None):
    """Make a `CRNN` without PyTorch's global generator and default settings.

    Parameters
    ----------
    config : dict
        The parameters of `CRNN`.
    generator : torch.Generator, optional
        Draws the initial weights; without it they are undefined, to be loaded.

    Returns
    -------
    CRNN
        On the CPU, in float32.

    Examples
    --------
    >>> import torch
    >>> config = {"n_classes": 11, "in_channels": 1, "conv_channels": (8, 16)}
    >>> config |= {"lstm_units": 16, "lstm_layers": 0, "dropout": 0.0}
    >>> build_network(config, torch.Generator().manual_seed(0)).head
    Linear(in_features=16, out_features=11, bias=True)
    """
    with torch.device("meta"):
        network = CRNN(**config)
    _allocate(network)
    if generator is not None:
        network.reset_parameters(generator)
    return network.to(memory_format=torch.channels_last)


def list_shapes(config):
    """Return the shapes of the saved weights of a network by name, and build none."""
    with torch.device("meta"):
        network = CRNN(**config)
    network.auxiliary = None
    return {name: tuple(t.shape) for name, t in network.state_dict().items()}


@torch.inference_mode(False)
def extend_network(network, n_classes, generator, *, auxiliary=False):
    """Copy a network, with outputs for more classes.

    Parameters
    ----------
    network : CRNN
        The network; it is not changed.
    n_classes : int
        At least the number of its classes, which keep their weights.
    generator : torch.Generator
        Draws the weights of the new classes, on the CPU.
    auxiliary : bool, default=False
        Whether to add the auxiliary head over the convolutions if there is none.

    Returns
    -------
    CRNN
        On the CPU.

    Examples
    --------
    >>> import torch
    >>> config = {"n_classes": 11, "in_channels": 1, "conv_channels": (8, 16)}
    >>> config |= {"lstm_units": 16, "lstm_layers": 0, "dropout": 0.0}
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = build_network(config, generator)
    >>> extend_network(network, 13, generator).head
    Linear(in_features=16, out_features=13, bias=True)
    """
    network = copy.deepcopy(network).cpu()
    for name in ("head", "auxiliary"):
        head = getattr(network, name)
        if head is not None and head.out_features < n_classes:
            grown = _make_head(head.in_features, n_classes, generator)
            with torch.no_grad():
                grown.weight[: head.out_features] = head.weight
                grown.bias[: head.out_features] = head.bias
            setattr(network, name, grown)
    if auxiliary and network.auxiliary is None:
        network.auxiliary = _make_head(network.n_features, n_classes, generator)
    return network


def for_reading(network):
    """Take from a network what helps in training alone, and return it."""
    network.auxiliary = None
    network.freeze_convolutions(False)
    return network.eval()


def _make_head(n_features, n_classes, generator):
    with torch.device("meta"):
        head = nn.Linear(n_features, n_classes)
    _allocate(head)
    _reset_head(head, generator)
    return head


def _allocate(module):
    """Move a module from the meta device to the CPU, as float32 of undefined values.

    `Module.to_empty` loads parts of PyTorch's compiler first.
    """
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            values = torch.empty(parameter.shape, dtype=torch.float32, device="cpu")
            setattr(part, name, nn.Parameter(values))
        for name, buffer in list(part.named_buffers(recurse=False)):
            dtype = torch.float32 if buffer.is_floating_point() else buffer.dtype
            setattr(part, name, torch.zeros(buffer.shape, dtype=dtype, device="cpu"))


def _reset_head(head, generator):
    nn.init.xavier_uniform_(head.weight, generator=generator)
    nn.init.zeros_(head.bias)
