"""What the tests of the benchmarks measure: archives, fonts, and no Keras."""

import io
import shutil
import zipfile
from itertools import product
from pathlib import Path
from string import ascii_lowercase as LOWER

import matplotlib
import numpy as np
from fontTools.ttLib import TTFont
from PIL import Image

# What the Keras side of a comparison would answer.
FAKE_KERAS = {
    "train": {
        "reached": True,
        "seconds": 40.0,
        "epochs": 2,
        "versions": {"keras": "3"},
    },
    "read": {"paths": 10.0, "arrays": 20.0, "one": 0.1, "one_by_call": 0.01},
}


def make_archives(folder):
    """Make archives that are arranged as the real ones are, of one tiny image."""
    stream = io.BytesIO()
    Image.fromarray(np.full((24, 60), 255, np.uint8)).save(stream, "PNG")
    files = ["".join(text) for text in product("abcdefgh", repeat=4)][:3120:3]
    for name in ("captcha_images_v2", "digits4"):
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            for file in files:
                archive.writestr(f"{name}/{file}.png", stream.getvalue())
            if name == "digits4":
                rows = ["filename,text", *(f"{file}.png,{file}" for file in files)]
                archive.writestr(f"{name}/labels.csv", "\n".join(rows))


def make_fonts(folder):
    """Make a family of four weights, and one that draws capitals for small letters."""
    dejavu = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    capitals = TTFont(dejavu)
    for table in capitals["cmap"].tables:
        table.cmap |= {ord(c): table.cmap.get(ord(c.upper()), c) for c in LOWER}
    for family, weights in {"plain": (100, 300, 400, 900), "capitals": (400,)}.items():
        files = folder / "node_modules" / "@fontsource" / family / "files"
        files.mkdir(parents=True)
        for weight in weights:
            path = files / f"{family}-latin-{weight}-normal.woff"
            shutil.copy(dejavu, path) if family == "plain" else capitals.save(path)


def list_tables(text):
    """Return the Markdown tables of a text, each a list of its lines."""
    blocks = (block.strip().splitlines() for block in text.split("\n\n"))
    return [lines for lines in blocks if lines and lines[-1].startswith("|")]
