"""Random distortion of training batches, on the device that trains."""

import math

import torch
from torch.nn import functional

__all__ = ["random_affine"]

ROTATION = 6.0
"""Largest rotation in degrees."""
TILT = 0.2
"""Largest rise of an image's end by its rotation, as a share of the height."""
SHEAR = 9.0
"""Largest horizontal shear in degrees."""
SCALE = 0.12
"""Largest change of the logarithm of the size, drawn for each axis."""
SHIFT = (0.18, 0.045)
"""Largest horizontal and vertical shift, as a share of the height."""


def random_affine(images, widths=None, *, strength=1.0, generator=None):
    """Rotate, shear, scale and shift each image of a batch a little.

    What comes in from outside repeats the nearest pixel of the image's own edge, so
    that padding never shows.

    Parameters
    ----------
    images : tensor of shape (N, C, H, W), uint8 or float
        Pixels, padded on the right to the widest.
    widths : tensor of shape (N,), optional
        The images' own widths; None if all are W.
    strength : float, default=1.0
        Multiplies the range of every distortion: 1 is at most 6 degrees of rotation,
        fewer where they would move the ends of a wide image by more than a fifth of
        its height; 9 degrees of shear; 12 % of scale on each axis; and shifts by 18 %
        and 4.5 % of the height.
    generator : torch.Generator, optional
        Source of randomness, on the device of `images`.

    Returns
    -------
    tensor of shape (N, C, H, W), float
        The distorted images. With `widths`, what stands in padding is undefined.

    Examples
    --------
    >>> import torch
    >>> from skcaptcha.training.augmentation import random_affine
    >>> flat = torch.full((2, 1, 8, 16), 7, dtype=torch.uint8)
    >>> out = random_affine(flat, generator=torch.Generator().manual_seed(0))
    >>> out.shape, bool((out - 7).abs().max() < 1e-4)
    (torch.Size([2, 1, 8, 16]), True)
    """
    n, _, height, width = images.shape
    like = {"dtype": torch.float32, "device": images.device}

    def uniform(limit):
        draw = torch.rand(n, 1, 1, generator=generator, **like)
        return (2 * draw - 1) * (limit * strength)

    shear = uniform(math.radians(SHEAR)).tan()
    scale_x, scale_y = uniform(SCALE).exp(), uniform(SCALE).exp()
    shift_x, shift_y = (uniform(share * height) for share in SHIFT)
    if widths is None:
        own = torch.full((n, 1, 1), float(width), **like)
    else:
        own = widths.to(**like)[:, None, None]
    # The ends of a wide image would leave it at an angle that suits a narrow one.
    angle = uniform((TILT * height / (own / 2)).clamp(max=math.radians(ROTATION)))

    # Source position of each pixel, in pixels from the center of its image.
    x = torch.arange(width, **like)[None, None, :] + 0.5 - own / 2  # (N, 1, W)
    y = torch.arange(height, **like)[None, :, None] + 0.5 - height / 2
    cos, sin = angle.cos(), angle.sin()
    source_x = scale_x * cos * x + scale_y * (shear * cos - sin) * y + shift_x
    source_y = scale_x * sin * x + scale_y * (shear * sin + cos) * y + shift_y
    source_x = (source_x + own / 2).clamp(min=0.5)  # (N, H, W)
    source_x = torch.minimum(source_x, own - 0.5)
    grid = torch.stack(
        [source_x / width * 2 - 1, source_y / height * 2],
        dim=-1,  # (N, H, W, 2)
    )
    return functional.grid_sample(
        images.float(), grid, padding_mode="border", align_corners=False
    )
