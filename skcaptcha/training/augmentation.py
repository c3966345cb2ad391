"""Random distortion of training batches, on the device that trains."""

import math

import torch
from torch.nn import functional

from skcaptcha._transfer import send

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
        The images' own widths; None if all are W. On the device of the generator.
    strength : float, default=1.0
        Multiplies the range of every distortion: 1 is at most 6 degrees of rotation,
        fewer where they would move the ends of a wide image by more than a fifth of
        its height; 9 degrees of shear; 12 % of scale on each axis; and shifts by 18 %
        and 4.5 % of the height.
    generator : torch.Generator, optional
        Source of randomness, on the device of `images` or on the CPU. For images on a
        GPU little is left to do there with the latter.

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
    drawn_on = images.device if generator is None else generator.device
    like = {"dtype": torch.float32, "device": drawn_on}
    if widths is None:
        own = torch.full((n, 1, 1), float(width), **like)
    else:
        own = widths.to(**like)[:, None, None]
    matrix = _draw_matrix(own, height, strength, generator)
    if drawn_on == images.device:
        grid = _make_grid(matrix, own, height, width)
    else:
        grid = _make_grid_there(matrix, own, height, width, images.device)
    return functional.grid_sample(
        images.float(), grid, padding_mode="border", align_corners=False
    )


def _draw_matrix(own, height, strength, generator):
    """Draw for images of the widths `own` (N, 1, 1) where each pixel comes from.

    Return the factors of x and y and what is added, of the source's x and then of its
    y, each (N, 1, 1), in pixels from the center of the image.
    """

    def uniform(limit):
        draw = torch.rand(
            own.shape, generator=generator, dtype=own.dtype, device=own.device
        )
        return (2 * draw - 1) * (limit * strength)

    shear = uniform(math.radians(SHEAR)).tan()
    scale_x, scale_y = uniform(SCALE).exp(), uniform(SCALE).exp()
    shift_x, shift_y = (uniform(share * height) for share in SHIFT)
    # The ends of a wide image would leave it at an angle that suits a narrow one.
    angle = uniform((TILT * height / (own / 2)).clamp(max=math.radians(ROTATION)))
    cos, sin = angle.cos(), angle.sin()
    return (
        (scale_x * cos, scale_y * (shear * cos - sin), shift_x),
        (scale_x * sin, scale_y * (shear * sin + cos), shift_y),
    )


def _make_grid(matrix, own, height, width):
    """Return the source of each pixel (N, H, W, 2) as `grid_sample` takes it."""
    like = {"dtype": torch.float32, "device": own.device}
    x = torch.arange(width, **like)[None, None, :] + 0.5 - own / 2  # (N, 1, W)
    y = torch.arange(height, **like)[None, :, None] + 0.5 - height / 2
    source_x, source_y = (of_x * x + of_y * y + shift for of_x, of_y, shift in matrix)
    source_x = (source_x + own / 2).clamp(min=0.5)  # (N, H, W)
    source_x = torch.minimum(source_x, own - 0.5)
    return torch.stack(
        [source_x / width * 2 - 1, source_y / height * 2],
        dim=-1,  # (N, H, W, 2)
    )


def _make_grid_there(matrix, own, height, width, device):
    """Do what `_make_grid` does on another device, to which little is sent.

    What does not depend on the pixel is computed here, so that few kernels do there.
    """
    (xx, xy, shift_x), (yx, yy, shift_y) = matrix
    center_x, center_y = own / 2, height / 2
    shift_x = shift_x + center_x - xx * center_x - xy * center_y
    shift_y = shift_y - yx * center_x - yy * center_y
    in_x, in_y = 2 / width, 2 / height
    values = [xx * in_x, yx * in_y, xy * in_x, yy * in_y]
    values += [shift_x * in_x - 1, shift_y * in_y]
    last = (own - 0.5) * in_x - 1
    values += [torch.full_like(last, in_x / 2 - 1), last]
    values = send(torch.stack(values, dim=-1), device)  # (N, 1, 1, 8)
    of_x, of_y, shift, ends = values.split(2, dim=3)
    pixels = torch.arange(0.5, max(height, width), dtype=torch.float32, device=device)
    x, y = pixels[:width, None], pixels[:height, None, None]
    grid = torch.addcmul(torch.addcmul(shift, of_x, x), of_y, y)
    grid[..., 0].clamp_(ends[..., 0], ends[..., 1])
    return grid
