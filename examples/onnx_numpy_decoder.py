"""
Read PNGs with an exported model, without PyTorch and without skcaptcha
=======================================================================

``python onnx_numpy_decoder.py captchas.onnx 1.png 2.png`` prints the text of each
image. Pillow, NumPy and onnxruntime are all that it needs.
"""

import json
import math
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def prepare(path, metadata):
    """Return an image as an array (1, C, H, W) of the size that the network reads."""
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode.startswith("I;16"):
        levels = (np.asarray(image).astype(np.uint32) + 128) // 257
        image = Image.fromarray(levels.astype(np.uint8))
    pixels = np.asarray(image.convert("RGBA")).astype(np.uint32)  # (H, W, 4)
    color, alpha = pixels[:, :, :3], pixels[:, :, 3:]
    color = color * alpha + np.array(metadata["background"]) * (255 - alpha)
    mode = "L" if metadata["color_mode"] == "grayscale" else "RGB"
    image = Image.fromarray(((color + 127) // 255).astype(np.uint8)).convert(mode)

    top, bottom = metadata["text_rows"]
    first, end = math.floor(top * image.height), math.ceil(bottom * image.height)
    image = image.crop((0, first, image.width, end))
    height, multiple = metadata["image_height"], metadata["width_multiple"]
    width = max(metadata["min_width"], image.width * height / image.height)
    width = round(width * metadata["width_stretch"] / multiple) * multiple
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(1, height, width, -1).transpose(0, 3, 1, 2)


def decode(log_probs, metadata):
    """Read the best class of each time step; merge repeats, drop blanks: (T, K)."""
    classes = log_probs.argmax(axis=1)
    starts = np.flatnonzero(np.diff(classes, prepend=metadata["blank"]))
    kept = classes[starts][classes[starts] != metadata["blank"]]
    return "".join(metadata["vocabulary"][k - 1] for k in kept)


if __name__ == "__main__":
    session = onnxruntime.InferenceSession(sys.argv[1])
    metadata = json.loads(session.get_modelmeta().custom_metadata_map["skcaptcha"])
    for path in sys.argv[2:]:
        images = prepare(path, metadata)
        widths = np.array([images.shape[3]])  # int64
        log_probs, lengths = session.run(None, {"images": images, "widths": widths})
        print(decode(log_probs[0, : lengths[0]], metadata))
