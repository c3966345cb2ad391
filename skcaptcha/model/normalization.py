"""Batch normalization of images that are padded to the width of the widest."""

import copy
import math

import torch
from torch import nn
from torch.nn import functional


class Padding:
    """Where the images of a batch end and padding begins.

    Parameters
    ----------
    widths : tensor of shape (N,)
        The images' own widths.
    width : int
        That of the padded batch.
    device : torch.device

    Attributes
    ----------
    mask : tensor of shape (N, 1, 1, W), float32
        One in the image, zero in padding.
    """

    def __init__(self, widths, width, device):
        columns = torch.arange(width, device=device)
        self.mask = (columns < widths.to(device)[:, None]).float()[:, None, None, :]
        # On the CPU a few slices are written sooner than all is multiplied.
        self._ends = widths.tolist() if device.type == "cpu" else None

    def stride(self, step):
        """Return the padding of a map of every `step`-th column."""
        if step == 1:
            return self
        strided = copy.copy(self)
        strided.mask = self.mask[..., ::step]
        if self._ends is not None:
            strided._ends = [math.ceil(end / step) for end in self._ends]
        return strided

    @torch.no_grad()
    def clear_(self, x):
        """Set what is padding in `x` of shape (N, C, H, W) to zero, in place.

        Gradients do not know of it; a ReLU that follows gives padding none.
        """
        if self._ends is None:
            return x.mul_(self.mask)
        for row, end in zip(x, self._ends, strict=True):
            if end < x.shape[3]:
                row[:, :, end:] = 0
        return x


class MaskedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization and ReLU, with statistics that exclude padding.

    The output is zero in padding, so that the next convolution sees the edge of the
    image as without padding. `all_reduce` sums over processes that train on parts of a
    batch. With padding the input may be overwritten.
    """

    def forward(self, x, padding=None, all_reduce=None):
        """Normalize `x` of shape (N, C, H, W)."""
        if self.training and all_reduce is not None:
            return self._normalize_together(x, padding, all_reduce)
        if padding is None:
            return super().forward(x).relu_()
        if not self.training:
            return padding.clear_(super().forward(x)).relu_()
        x, mean, variance = _MaskedNormalization.apply(
            x, padding, self.weight, self.bias, self.eps
        )
        self._update_statistics(mean, variance)
        return x

    def _normalize_together(self, x, padding, all_reduce):
        """Normalize by the statistics of the whole batch."""
        if padding is None:
            mask = x.new_ones(len(x), 1, 1, x.shape[3], dtype=torch.float32)
        else:
            mask = padding.mask
        masked = x.float() * mask  # sums need float32 under autocast, too
        # Over all columns, with zeros in padding.
        variance, mean = torch.var_mean(masked, dim=(0, 2, 3), correction=0)  # (C,)
        count = (mask.sum() * x.shape[2])[None]
        square = (variance + mean * mean) * masked[:, 0].numel()
        sums = all_reduce(torch.cat([mean * masked[:, 0].numel(), square, count]))
        mean, square = (sums[:-1] / sums[-1]).chunk(2)
        variance = (square - mean * mean).clamp(min=0)
        self._update_statistics(mean, variance)
        scale = (self.weight * torch.rsqrt(variance + self.eps))[None, :, None, None]
        shift = self.bias[None, :, None, None] - mean[None, :, None, None] * scale
        # The result gets the memory format of these.
        shift = (shift * mask).contiguous(memory_format=torch.channels_last)
        scale = (scale * mask).contiguous(memory_format=torch.channels_last)
        return torch.addcmul(shift, x.to(scale.dtype), scale).relu()

    @torch.no_grad()
    def _update_statistics(self, mean, variance):
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


class _MaskedNormalization(torch.autograd.Function):
    """Batch normalization over the columns that are no padding, and ReLU.

    PyTorch's kernels sum over the zeroed padding; dividing by the number of pixels
    without it is left to do. By autograd that takes three times as long.
    """

    @staticmethod
    def forward(ctx, x, padding, weight, bias, eps):
        """Return the normalized `x`, its mean and its variance by channel."""
        padding.clear_(x)
        count = padding.mask.sum(dtype=torch.float32) * x.shape[2]
        inside = x[:, 0].numel() / count
        _, mean, scale = torch.native_batch_norm(
            x, weight, bias, None, None, True, 0.0, eps
        )  # over all columns
        square = (scale**-2 - eps + mean * mean) * inside
        mean = mean * inside
        variance = (square - mean * mean).clamp(min=0)
        y = functional.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)
        y = padding.clear_(y).relu_()
        ctx.save_for_backward(x, y, weight, mean, variance, count)
        ctx.padding, ctx.eps = padding, eps
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    def backward(ctx, gradient, *_):
        """Return the gradients of the arguments of `forward`."""
        x, y, weight, mean, variance, count = ctx.saved_tensors
        gradient = torch.ops.aten.threshold_backward(gradient, y, 0)  # of the ReLU
        # As if the statistics were given: weight * scale * gradient.
        of_x, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, mean, variance, None, None, False, ctx.eps, [True] * 3
        )
        # And through the statistics, with normalized x = (x - mean) * scale:
        # - weight * scale * (of_bias + normalized x * of_weight) / count
        scale = torch.rsqrt(variance + ctx.eps)
        slope = weight * scale * scale * of_weight / count
        constant = slope * mean - weight * scale * of_bias / count
        slope, constant = (
            value.to(x.dtype)[None, :, None, None] for value in (slope, constant)
        )
        of_x = ctx.padding.clear_(of_x.addcmul_(x, -slope).add_(constant))
        return of_x, None, of_weight, of_bias, None
