"""The example that reads without PyTorch and without skcaptcha."""

import copy
import os
import runpy
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from support.data import ROOT

from skcaptcha.images import read_image
from skcaptcha.images._prepare import prepare_image

DECODER = ROOT / "examples" / "onnx_numpy_decoder.py"


def make_pngs(folder):
    """Write images of every kind that a PNG may hold; return their paths."""
    rng = np.random.RandomState(0)
    levels = rng.randint(0, 256, (23, 61, 4)).astype(np.uint8)
    rgba, rgb = Image.fromarray(levels), Image.fromarray(levels[:, :, :3])
    images = {
        "gray": rgb.convert("L"),
        "rgb": rgb,
        "rgba": rgba,
        "gray and alpha": rgba.convert("LA"),
        "palette": rgb.quantize(9),
        "black and white": rgb.convert("1"),
        "16 bit": Image.fromarray(rng.randint(0, 2**16, (23, 61)).astype(np.uint16)),
        "narrow": rgb.crop((0, 0, 2, 23)),
        "right size": rgb.resize((40, 16)),
        "half a step": rgb.resize((42, 16)),
        "large": rgb.resize((640, 200)),
    }
    for name, image in images.items():
        image.save(folder / f"{name}.png")
    images["palette"].save(folder / "transparent palette.png", transparency=3)
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter to the right
    rgb.save(folder / "turned.png", exif=turned)
    return list(folder.iterdir())


@pytest.mark.parametrize("color_mode", ["grayscale", "rgb"])
@pytest.mark.parametrize("background", ["white", (10, 200, 30)])
@pytest.mark.parametrize(
    ("stretch", "rows"), [(1.0, (0.0, 1.0)), (1.37, (0.0, 1.0)), (1.0, (0.225, 0.7))]
)
def test_the_example_prepares_pngs_pixel_for_pixel(
    tmp_path, color_mode, background, stretch, rows
):
    prepare = runpy.run_path(DECODER)["prepare"]
    metadata = {
        "image_height": 16,
        "width_stretch": stretch,
        "text_rows": list(rows),
        "min_width": 16,
        "width_multiple": 4,
        "color_mode": color_mode,
        "background": [255, 255, 255] if background == "white" else list(background),
    }
    for path in make_pngs(tmp_path):
        expected = prepare_image(
            read_image(path, background=background),
            height=16,
            stretch=stretch,
            rows=rows,
            color_mode=color_mode,
            name="image",
        )
        found = prepare(path, metadata)
        assert found.dtype == np.uint8
        assert np.array_equal(found[0].transpose(1, 2, 0), expected), path.name


def test_the_example_reads_what_the_recognizer_reads(fitted, exported, png_folder):
    """Where neither skcaptcha nor what it needs can be imported."""
    paths = [png_folder / f"{i}.png" for i in range(160, 200)]
    code = (
        "import runpy, sys\n"
        "for name in ('skcaptcha', 'torch', 'sklearn', 'scipy', 'onnx'):\n"
        "    sys.modules[name] = None\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    read = subprocess.run(
        [sys.executable, "-c", code, DECODER, exported, *paths],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
        check=True,
    ).stdout.splitlines()
    once = copy.copy(fitted).set_params(multi_scale=False)  # as the example reads
    assert read == list(once.predict(paths))
    assert len(set(read)) > 10


def test_the_example_is_short():
    code = DECODER.read_text(encoding="utf-8").split('"""', 2)[2]
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 40
