"""Items of ``X`` (paths, encoded bytes, PIL images, arrays) as uint8 arrays."""

from skcaptcha.images._read import (
    has_color,
    read_image,
    read_images,
    to_grayscale,
    to_rgb,
)

__all__ = ["has_color", "read_image", "read_images", "to_grayscale", "to_rgb"]
