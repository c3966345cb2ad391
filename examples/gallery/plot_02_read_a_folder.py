"""
Reading a folder of images
==========================

Most sets of labeled images are a folder whose files are named after their texts, or a
folder beside a table. Both are read here, and so is an image that is broken.
"""

# %%
# A folder such as you may have: the text, then a number, as one text may occur twice.
import csv
import tempfile
from pathlib import Path

from PIL import Image

from skcaptcha.datasets import make_captchas

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)

images, texts = make_captchas(
    140, vocabulary="0123456789", length=4, size=(32, 80), color=True, random_state=1
)
for number, (image, text) in enumerate(zip(images, texts, strict=True)):
    Image.fromarray(image).save(folder / f"{text}_{number:04}.png")
print(*sorted(path.name for path in folder.iterdir())[:4], sep="\n")

# %%
# ``label`` is a regular expression for the name of a file without its suffix; its group
# is the text. Without it the whole name is. A zip file can be given instead of the
# folder, without unpacking it.
from skcaptcha.datasets import load_image_folder

paths, y = load_image_folder(folder, label=r"([^_]+)_")
print(len(paths), y[:4])

# %%
# Look at them before training: does each label say what its image shows?
from skcaptcha.plotting import SamplesDisplay

SamplesDisplay.from_samples(
    paths, y, shuffle=True, random_state=0, title="Images of the folder and their texts"
)

# %%
# Paths go into ``fit`` as they are.
from sklearn.model_selection import train_test_split

from skcaptcha import CaptchaRecognizer

paths_train, paths_test, y_train, y_test = train_test_split(
    paths, y, test_size=40, random_state=0
)
recognizer = CaptchaRecognizer(max_iter=8, random_state=0).fit(paths_train, y_train)
print(f"exact match {recognizer.score(paths_test, y_test):.2f}")

# %%
# The same labels in a table. Its columns are called ``filename`` and ``text`` unless
# other names are given, and the paths in it start from where the table is.
from skcaptcha.datasets import load_labels_csv

table = folder / "labels.csv"
with open(table, "w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(["filename", "text"])
    writer.writerows(
        [Path(path).name, text] for path, text in zip(paths_test, y_test, strict=True)
    )
paths_test, y_test = load_labels_csv(table)
print(f"exact match {recognizer.score(paths_test, y_test):.2f}")

# %%
# An image that cannot be read is an error that names it, unless you want the others
# read all the same; its place then holds ``None``, and a warning says why.
import warnings

broken = folder / "broken.png"
broken.write_bytes(b"no image at all")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    print(recognizer.predict([paths_test[0], broken], on_error="skip"))
print(str(caught[0].message).replace(str(folder), "folder"))

# %%
temporary.cleanup()
