"""Read paths, encoded bytes, PIL images and arrays as arrays of uint8."""

from skcaptcha.images._read import (
    has_color,
    read_image,
    read_images,
    to_grayscale,
    to_rgb,
)

__all__ = ["has_color", "read_image", "read_images", "to_grayscale", "to_rgb"]
