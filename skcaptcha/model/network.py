"""The convolutional recurrent network (CRNN) that reads one line of text."""

import copy

import torch
from torch import nn
from torch.nn import functional

__all__ = ["CRNN", "TIME_STRIDE", "build_network", "extend_network"]

# How many of the convolution blocks halve the width.
_N_TIME_POOLS = 2

TIME_STRIDE = 2**_N_TIME_POOLS
"""Columns of the input that make one time step of the output."""


class MaskedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization that leaves padding out of its statistics.

    Beyond ``BatchNorm2d`` it takes a mask of shape (N, 1, 1, W), one where a column
    belongs to the image and zero where it is padding. The output is zero in padding,
    just as the zero padding of a convolution sees the edge of an unpadded image.
    Processes that learn together from parts of a batch share the statistics of it all.
    """

    def forward(self, x, mask=None, share=None):
        """Normalize `x` of shape (N, C, H, W)."""
        if not self.training:
            share = None
        if mask is None and share is None:
            return super().forward(x)
        if self.training and share is None:
            x, mean, variance = _MaskedNormalization.apply(
                x, mask, self.weight, self.bias, self.eps
            )
            self._follow(mean, variance)
            return x
        if mask is None:
            mask = torch.ones(len(x), 1, 1, x.shape[3], device=x.device)
        if self.training:
            masked = x.float() * mask  # the sums need float32 also under autocast
            # Of all columns, padding as zeros.
            variance, mean = torch.var_mean(masked, dim=(0, 2, 3), correction=0)  # (C,)
            count = (mask.sum() * x.shape[2])[None]
            square = (variance + mean * mean) * masked[:, 0].numel()
            sums = share(torch.cat([mean * masked[:, 0].numel(), square, count]))
            mean, square = (sums[:-1] / sums[-1]).chunk(2)
            variance = (square - mean * mean).clamp(min=0)
            self._follow(mean, variance)
        else:
            mean, variance = self.running_mean, self.running_var
        scale = (self.weight * torch.rsqrt(variance + self.eps))[None, :, None, None]
        shift = self.bias[None, :, None, None] - mean[None, :, None, None] * scale
        # In the layout of x, which the result takes over.
        shift = (shift * mask).contiguous(memory_format=torch.channels_last)
        scale = (scale * mask).contiguous(memory_format=torch.channels_last)
        return torch.addcmul(shift, x.to(scale.dtype), scale)

    @torch.no_grad()
    def _follow(self, mean, variance):
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


class _MaskedNormalization(torch.autograd.Function):
    """Batch normalization over the columns that a mask is one for.

    PyTorch's own kernels over the zeroed padding find the sums, which only have to be
    divided by the true number of pixels; left to autograd it takes three times as long.
    """

    @staticmethod
    def forward(ctx, x, mask, weight, bias, eps):
        """Return the normalized `x`, its mean and its variance by channel."""
        mask = mask.to(x.dtype)
        x = x * mask
        count = mask.sum(dtype=torch.float32) * x.shape[2]
        inside = x[:, 0].numel() / count
        _, mean, scale = torch.native_batch_norm(
            x, weight, bias, None, None, True, 0.0, eps
        )  # over all columns
        square = (scale**-2 - eps + mean * mean) * inside
        mean = mean * inside
        variance = (square - mean * mean).clamp(min=0)
        ctx.save_for_backward(x, mask, weight, mean, variance, count)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        y = functional.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)
        return y * mask, mean, variance

    @staticmethod
    def backward(ctx, gradient, *_):
        """Return the gradients of what `forward` was given."""
        x, mask, weight, mean, variance, count = ctx.saved_tensors
        gradient = gradient * mask
        scale = torch.rsqrt(variance + ctx.eps)
        of_bias = gradient.sum((0, 2, 3), dtype=torch.float32)
        of_weight = (gradient * x).sum((0, 2, 3), dtype=torch.float32)
        of_weight = (of_weight - mean * of_bias) * scale
        # weight * scale * (gradient - (of_bias + normalized x * of_weight) / count)
        factor = weight * scale
        slope = factor * scale * of_weight / count
        constant = slope * mean - factor * of_bias / count
        factor, slope, constant = (
            value.to(x.dtype)[None, :, None, None]
            for value in (factor, slope, constant)
        )
        of_x = (gradient * factor).addcmul_(x, -slope).add_(constant).mul_(mask)
        return of_x, None, of_weight, of_bias, None


class ConvBlock(nn.Module):
    """Convolution 3x3, max pooling, batch normalization, ReLU.

    Pooling comes first because normalizing the smaller map is cheaper.
    """

    def __init__(self, in_channels, out_channels, pool):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm = MaskedBatchNorm2d(out_channels)
        self.pool = pool

    def forward(self, x, mask, share=None):
        """Return the new map (N, C, H, W) and its mask."""
        x = functional.max_pool2d(self.conv(x), self.pool, ceil_mode=True)
        if mask is not None:
            mask = mask[..., :: self.pool[1]]
        return torch.relu(self.norm(x, mask, share)), mask


class BidirectionalLSTM(nn.Module):
    """LSTM over sequences of their own lengths, in both directions.

    Two one-way LSTMs, the second over the reversed sequences: PyTorch's fast kernels
    for the CPU take no packed sequences.
    """

    def __init__(self, n_features, units):
        super().__init__()
        self.ahead = nn.LSTM(n_features, units)
        self.back = nn.LSTM(n_features, units)

    def forward(self, x, lengths):
        """Return the states (T, N, 2 * units) of `x` of shape (T, N, C)."""
        steps = torch.arange(len(x), device=x.device)[:, None]
        mirrored = lengths.to(x.device) - 1 - steps  # (T, N)
        mirrored = torch.where(mirrored < 0, steps, mirrored)
        rows = torch.arange(x.shape[1], device=x.device)
        back = self.back(x[mirrored, rows])[0][mirrored, rows]
        return torch.cat([self.ahead(x)[0], back], dim=2)


class CRNN(nn.Module):
    """Convolutions, bidirectional LSTMs and a CTC head over the columns.

    After Shi et al. [1]_, with batch normalization in every block and its padding
    masked.

    Parameters
    ----------
    n_classes : int
        Number of output classes, the CTC blank included.
    in_channels : int
        1 for gray images, 3 for color.
    conv_channels : sequence of int
        Output channels of each convolution block. Each halves the height, rounded
        up, the first two also the width; of what is left of the height the largest
        value counts, so that images of any height yield as many features.
    lstm_units : int
        Units of each direction of each LSTM.
    lstm_layers : int
        Number of bidirectional LSTMs, 0 for none.
    dropout : float
        Share of the features that are dropped before each LSTM and the head.

    References
    ----------
    .. [1] B. Shi, X. Bai, C. Yao, "An End-to-End Trainable Neural Network for
       Image-based Sequence Recognition and Its Application to Scene Text
       Recognition", TPAMI 39(11), 2017.

    Examples
    --------
    >>> import torch
    >>> from skcaptcha.model.network import CRNN
    >>> network = CRNN(
    ...     11,
    ...     in_channels=1,
    ...     conv_channels=(8, 16),
    ...     lstm_units=16,
    ...     lstm_layers=1,
    ...     dropout=0.0,
    ... ).eval()
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
    ):
        super().__init__()
        self.dropout = dropout
        self.frozen = False
        blocks, channels = [], in_channels
        for position, out_channels in enumerate(conv_channels):
            pool = (2, 2 if position < _N_TIME_POOLS else 1)
            blocks.append(ConvBlock(channels, out_channels, pool))
            channels = out_channels
        self.blocks = nn.ModuleList(blocks)
        self.n_features = n_features = channels  # of each time step
        self.auxiliary = nn.Linear(n_features, n_classes)
        self.lstms = nn.ModuleList()
        for _ in range(lstm_layers):
            self.lstms.append(BidirectionalLSTM(n_features, lstm_units))
            n_features = 2 * lstm_units
        self.head = nn.Linear(n_features, n_classes)

    def reset_parameters(self, generator=None):
        """Draw the weights: He for convolutions, Xavier and orthogonal for the rest.

        PyTorch's own defaults leave CTC training on its all-blank plateau.
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
                        if name.startswith("bias_ih"):  # remember at first
                            forget = parameter.detach().chunk(4)[1]
                            nn.init.ones_(forget)

    def forward(
        self, images, widths=None, *, auxiliary=False, generator=None, share=None
    ):
        """Read a batch of images.

        Parameters
        ----------
        images : tensor of shape (N, C, H, W), uint8 or float
            Pixels from 0 to 255, padded on the right to the widest.
        widths : tensor of shape (N,), optional
            The images' own widths, multiples of ``TIME_STRIDE``; None if all are W.
        auxiliary : bool, default=False
            Also return what the convolutions alone make of it, if there is a head
            for that.
        generator : torch.Generator, optional
            Source of the dropout while training, on the device of `images`.
        share : callable, optional
            Sums a tensor over the processes that learn from parts of a batch.

        Returns
        -------
        log_probs : tensor of shape (T, N, K)
            Log-probabilities of the classes in each time step.
        auxiliary_log_probs : tensor of shape (T, N, K)
            Only if `auxiliary` is set and there is such a head.
        lengths : tensor of shape (N,), on the CPU
            Time steps that belong to each image.
        """
        mask = None
        if widths is not None:
            columns = torch.arange(images.shape[3], device=images.device)
            mask = (columns < widths.to(images.device)[:, None]).float()
            mask = mask[:, None, None, :]  # (N, 1, 1, W)
        x = standardize(images, mask).contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            x, mask = block(x, mask, share)
        x = x.amax(dim=2).permute(2, 0, 1)  # (N, C, H', T) -> (T, N, C)
        x = self._drop(x, generator)
        if widths is None:
            lengths = torch.full((x.shape[1],), x.shape[0])
        else:
            lengths = widths.cpu() // TIME_STRIDE
        features = x
        for lstm in self.lstms:
            x = self._drop(lstm(x, lengths), generator)  # (T, N, 2 * units)
        logits = [self.head(x)]  # (T, N, K)
        if auxiliary and self.auxiliary is not None:
            logits.append(self.auxiliary(features))
        return *(values.float().log_softmax(-1) for values in logits), lengths

    def freeze_convolutions(self, frozen=True):
        """Keep the convolution blocks as they are in training, or no longer."""
        self.frozen = frozen
        self.blocks.requires_grad_(not frozen)
        self.train(self.training)

    def train(self, mode=True):
        """Set the mode; frozen blocks always evaluate, lest their norms move."""
        super().train(mode)
        for lstm in self.lstms:  # a copy for CUDA has them scattered over the memory
            lstm.ahead.flatten_parameters()
            lstm.back.flatten_parameters()
        if self.frozen:
            self.blocks.eval()
        return self

    def _drop(self, x, generator):
        # nn.Dropout would draw from the global generator.
        if not self.training or self.dropout == 0:
            return x
        kept = torch.rand(x.shape, generator=generator, device=x.device) >= self.dropout
        return x * kept.to(x.dtype) / (1 - self.dropout)


def standardize(images, mask=None):
    """Give each image of a batch zero mean and unit variance, padding left out.

    Parameters
    ----------
    images : tensor of shape (N, C, H, W)
        Pixels from 0 to 255.
    mask : tensor of shape (N, 1, 1, W), optional
        Zero in padding.

    Returns
    -------
    tensor of shape (N, C, H, W), float
        Zero in padding. One gray level is added to the standard deviation, so that an
        empty image stays empty instead of turning its rounding into noise.
    """
    x = images.float()
    if mask is None:
        variance, mean = torch.var_mean(x, dim=(1, 2, 3), keepdim=True, correction=0)
        return (x - mean) / (variance.sqrt() + 1)
    count = mask.sum(dim=3, keepdim=True) * x.shape[1] * x.shape[2]  # (N, 1, 1, 1)
    mean = (x * mask).sum(dim=(1, 2, 3), keepdim=True) / count
    x = (x - mean) * mask
    variance = (x * x).sum(dim=(1, 2, 3), keepdim=True) / count
    return x / (variance.sqrt() + 1)


def build_network(shape, generator=None):
    """Make a `CRNN` without touching PyTorch's global generator.

    Parameters
    ----------
    shape : dict
        The parameters of `CRNN`.
    generator : torch.Generator, optional
        Draws the initial weights; without it they are left for the caller to load.

    Returns
    -------
    CRNN
        On the CPU.

    Examples
    --------
    >>> import torch
    >>> from skcaptcha.model.network import build_network
    >>> shape = {
    ...     "n_classes": 11,
    ...     "in_channels": 1,
    ...     "conv_channels": (8, 16),
    ...     "lstm_units": 16,
    ...     "lstm_layers": 0,
    ...     "dropout": 0.0,
    ... }
    >>> build_network(shape, torch.Generator().manual_seed(0)).head
    Linear(in_features=16, out_features=11, bias=True)
    """
    with torch.device("meta"):
        network = CRNN(**shape)
    _allocate(network)
    if generator is not None:
        network.reset_parameters(generator)
    return network.to(memory_format=torch.channels_last)


def extend_network(network, n_classes, generator, *, auxiliary=False):
    """Copy a network, with outputs for more classes.

    Parameters
    ----------
    network : CRNN
        Stays as it is.
    n_classes : int
        At least as many as the network has. Those that it has keep their weights.
    generator : torch.Generator
        Draws the weights of the others, on the CPU.
    auxiliary : bool, default=False
        Whether to add the head over the convolutions, where there is none.

    Returns
    -------
    CRNN
        On the CPU.

    Examples
    --------
    A network of ten characters learns two more:

    >>> import torch
    >>> from skcaptcha.model.network import build_network, extend_network
    >>> shape = {
    ...     "n_classes": 11,
    ...     "in_channels": 1,
    ...     "conv_channels": (8, 16),
    ...     "lstm_units": 16,
    ...     "lstm_layers": 0,
    ...     "dropout": 0.0,
    ... }
    >>> generator = torch.Generator().manual_seed(0)
    >>> network = build_network(shape, generator)
    >>> extended = extend_network(network, 13, generator)
    >>> extended.head.out_features
    13
    >>> bool((extended.head.weight[:11] == network.head.weight).all())
    True
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
    """Bring a module from the meta device to the CPU, its values undefined.

    `Module.to_empty` does that too, but loads parts of PyTorch's compiler first.
    """
    for part in module.modules():
        for name, parameter in list(part.named_parameters(recurse=False)):
            setattr(part, name, nn.Parameter(torch.empty(parameter.shape)))
        for name, buffer in list(part.named_buffers(recurse=False)):
            setattr(part, name, torch.empty(buffer.shape, dtype=buffer.dtype))


def _reset_head(head, generator):
    nn.init.xavier_uniform_(head.weight, generator=generator)
    nn.init.zeros_(head.bias)
