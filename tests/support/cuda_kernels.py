"""Operations that PyTorch has for CUDA alone, on ordinary tensors."""

import torch


def _sum_channels(x):
    return x.sum((0, 2, 3))


def _spread(values):
    return values[None, :, None, None]


def _batch_norm_stats(x, eps):
    x = x.float()
    others = [axis for axis in range(x.ndim) if axis != 1]
    variance, mean = torch.var_mean(x, others, correction=0)
    return mean, torch.rsqrt(variance + eps)


def _batch_norm_elemt(x, weight, bias, mean, scale, eps):
    y = (x.float() - _spread(mean)) * _spread(scale * weight) + _spread(bias)
    return y.to(x.dtype)


def _batch_norm_backward_reduce(g, x, mean, scale, weight, *wanted):
    g, centered = g.float(), x.float() - _spread(mean)
    of_bias, product = _sum_channels(g), _sum_channels(g * centered)
    return of_bias.clone(), product, product * scale, of_bias


def _batch_norm_backward_elemt(g, x, mean, scale, weight, sums, products, count):
    n = count.sum()
    assert count.dtype == torch.int32
    through_mean = _spread(sums / n)
    through_scale = (x.float() - _spread(mean)) * _spread(products / n * scale**2)
    found = (g.float() - through_mean - through_scale) * _spread(scale * weight)
    return found.to(x.dtype)


def _choose_native(*args):
    return False  # not cuDNN's CTC loss


KERNELS = {
    "batch_norm_stats": _batch_norm_stats,
    "batch_norm_elemt": _batch_norm_elemt,
    "batch_norm_backward_reduce": _batch_norm_backward_reduce,
    "batch_norm_backward_elemt": _batch_norm_backward_elemt,
    "_use_cudnn_ctc_loss": _choose_native,
    "_use_miopen_ctc_loss": _choose_native,
}
