"""Steps on a GPU that would otherwise launch more kernels."""

import functools

import torch

from skcaptcha._torch_compat import foreach


@functools.lru_cache(maxsize=256)
@torch.inference_mode(False)
def put(number, dtype, device):
    """Return a number on a device, where it stays for the next time."""
    return torch.full((), number, dtype=dtype, device=device)


class CastTogether(torch.autograd.Function):
    """Cast tensors to a dtype, and their gradients back, in one launch each."""

    @staticmethod
    def forward(ctx, dtype, *tensors):
        """Return the tensors in the dtype."""
        ctx.dtype = tensors[0].dtype
        return _cast_together(tensors, dtype)

    @staticmethod
    def backward(ctx, *gradients):
        """Return the gradients of the tensors."""
        return None, *_cast_together(gradients, ctx.dtype)


def _cast_together(tensors, dtype):
    cast = [torch.empty_like(tensor, dtype=dtype) for tensor in tensors]
    foreach.copy_(cast, list(tensors))
    return tuple(cast)


def standardize_on_cuda(x, mask):
    """Do what `network.standardize` does."""
    each = {"dim": (1, 2, 3), "keepdim": True}
    if mask is None:
        variance, mean = torch.var_mean(x, correction=0, **each)
        return (x - mean).div_(variance.sqrt_().add_(1))
    inside = mask.mean(dim=3, keepdim=True)  # share of the columns
    x = x * mask
    x = x.addcmul_(x.mean(**each) / inside, mask, value=-1)
    norm = torch.linalg.vector_norm(x, **each)
    one = put(1.0, torch.float32, x.device)
    scale = x[0].numel() ** -0.5
    return x.div_(torch.addcmul(one, norm, inside.rsqrt_(), value=scale))
