"""Batch normalization of images that are padded to the width of the widest."""

import copy
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from skcaptcha._torch_compat import foreach
from skcaptcha._transfer import send
from skcaptcha.model.few_launches import put


class Padding:
    """Where the images of a batch end and padding begins.

    Parameters
    ----------
    widths : tensor of shape (N,)
        The images' own widths.
    width : int
        That of the padded batch.
    device : torch.device
    own : tensor of shape (N,), optional
        The widths on that device, if they are there already.

    Attributes
    ----------
    widths : tensor of shape (N,)
        The images' own widths, on the CPU.
    own : tensor of shape (N,)
        The same on the device.
    mask : tensor of shape (N, 1, 1, W), float32
        One in the image, zero in padding.
    """

    def __init__(self, widths, width, device, own=None):
        self.widths = widths
        self.own = send(widths, device) if own is None else own
        columns = torch.arange(width, device=device)
        mask = torch.empty((len(widths), width), dtype=torch.float32, device=device)
        torch.lt(columns, self.own[:, None], out=mask)
        self.mask = mask[:, None, None, :]
        self._ends = widths.tolist()
        self._inside = self._limit = None
        if device.type == "cuda" and torch.is_grad_enabled():  # to train
            self._limit = self.mask * torch.finfo(torch.float32).max
        # On the CPU a few slices are written sooner than all is multiplied.
        self._slices = device.type == "cpu"

    def stride(self, step):
        """Return the padding of a map of every `step`-th column."""
        if step == 1:
            return self
        strided = copy.copy(self)
        strided.mask = self.mask[..., ::step]
        strided._ends = [math.ceil(end / step) for end in self._ends]
        strided._inside = None
        if self._limit is not None:
            strided._limit = self._limit[..., ::step]
        return strided

    @torch.no_grad()
    def clear_(self, x):
        """Set what is padding in `x` of shape (N, C, H, W) to zero, in place.

        Gradients do not know of it; a ReLU that follows gives padding none.
        """
        if not self._slices:
            return x.mul_(self.mask)
        for row, end in zip(x, self._ends, strict=True):
            if end < x.shape[3]:
                row[:, :, end:] = 0
        return x

    def relu_(self, x):
        """Apply ReLU in place to `x` on a GPU, with zeros in padding, in one launch."""
        return x.clamp_(put(0.0, torch.float32, x.device), self._limit)

    def pick_pixels(self, x):
        """Return the pixels (M, C) of `x` of shape (N, C, H, W) that are no padding."""
        rows, columns = self._find_inside(x)[0]
        pixels = x.permute(0, 3, 2, 1)[rows, columns]  # (n columns, H, C)
        return pixels.reshape(-1, x.shape[1])

    def count_pixels(self, x):
        """Return integers (2 H,), int32, whose sum is the number of those pixels."""
        return self._find_inside(x)[1][: 2 * x.shape[2]]

    def _find_inside(self, x):
        """Return where the columns are that are no padding, and counts of them.

        Both are sent together, for all maps of this width. The counts are one for each
        row of the highest map, in 64 bits, which are given as twice 32.
        """
        if self._inside is None or len(self._inside[1]) < 2 * x.shape[2]:
            inside = np.arange(x.shape[3]) < np.array(self._ends)[:, None]
            counts = np.full(x.shape[2], sum(self._ends))
            parts = np.concatenate([*np.nonzero(inside), counts]).astype(np.int64)
            parts = send(torch.from_numpy(parts), x.device)
            places = parts[: -len(counts)].view(2, -1)
            self._inside = places, parts[-len(counts) :].view(torch.int32)
        return self._inside


def make_padding(images, widths, own=None):
    """Return the `Padding` of a batch (N, C, H, W), None where `widths` are None.

    If `widths` are a `Padding` already, it is returned.
    """
    if widths is None or isinstance(widths, Padding):
        return widths
    return Padding(widths, images.shape[3], images.device, own)


class MaskedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalization and ReLU, with statistics that exclude padding.

    The output is zero in padding, so that the next convolution sees the edge of the
    image as without padding. `all_reduce` sums over processes that train on parts of a
    batch. With padding the input may be overwritten.
    """

    def forward(self, x, padding=None, all_reduce=None, observed=None):
        """Normalize `x` of shape (N, C, H, W).

        On a GPU the list `observed` gets this norm, the mean of the batch and one over
        its deviation, for `follow_statistics`; without it the running ones follow at
        once.
        """
        if self.training and all_reduce is not None:
            return self._normalize_together(x, padding, all_reduce)
        if self.training and x.is_cuda:
            x, mean, scale = _NormalizationOnCuda.apply(
                x, padding, self.weight, self.bias, self.eps
            )
            if observed is None:
                self._update_statistics(mean, scale.pow(-2))
            else:
                observed.append((self, mean, scale))
            return x
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


class _NormalizationOnCuda(torch.autograd.Function):
    """Batch normalization and ReLU by the kernels of `torch.nn.SyncBatchNorm`.

    They take few launches. What padding there is does not count: the statistics are
    those of the other pixels, which are picked out.
    """

    @staticmethod
    def forward(ctx, x, padding, weight, bias, eps):
        """Return the normalized `x`, its mean and one over its deviation by channel."""
        counted = x if padding is None else padding.pick_pixels(x)
        mean, scale = torch.batch_norm_stats(counted, eps)
        y = torch.batch_norm_elemt(x, weight, bias, mean, scale, eps)
        y = y.relu_() if padding is None else padding.relu_(y)
        ctx.save_for_backward(x, y, weight, mean, scale)
        ctx.padding = padding
        ctx.mark_non_differentiable(mean, scale)
        ctx.set_materialize_grads(False)
        return y, mean, scale

    @staticmethod
    def backward(ctx, gradient, *_):
        """Return the gradients of the arguments of `forward`."""
        x, y, weight, mean, scale = ctx.saved_tensors
        gradient = torch.ops.aten.threshold_backward(gradient, y, 0)  # of the ReLU
        sums, products, of_weight, of_bias = torch.batch_norm_backward_reduce(
            gradient, x, mean, scale, weight, True, True, True
        )
        if ctx.padding is None:
            count = put(x[:, 0].numel(), torch.int32, x.device)
        else:
            count = ctx.padding.count_pixels(x)
        of_x = torch.batch_norm_backward_elemt(
            gradient, x, mean, scale, weight, sums, products, count.view(-1)
        )
        if ctx.padding is not None:
            ctx.padding.clear_(of_x)
        return of_x, None, of_weight, of_bias, None


@torch.no_grad()
def follow_statistics(observed, learned):
    """Let running statistics follow those of a batch, if something was learned.

    `observed` is the list that the norms have filled, and `learned` a bool on the
    device, which is not waited for.
    """
    norms, means, scales = zip(*observed, strict=True)
    running = [norm.running_mean for norm in norms]
    running += [norm.running_var for norm in norms]
    batch = torch.cat([*means, *scales])
    batch[len(batch) // 2 :].pow_(-2)  # the variances
    before = torch.cat(running)
    after = before.lerp(batch, norms[0].momentum)
    after = torch.where(learned, after, before).split([len(t) for t in running])
    foreach.copy_(running, after)
    tracked = [norm.num_batches_tracked for norm in norms]
    foreach.add_(tracked, [learned.long()] * len(tracked))
