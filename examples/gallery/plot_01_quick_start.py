"""
Train, read, save
=================

Train a recognizer, see how well it reads images that it has never seen, and save it.
"""

# %%
# ``X`` is a list of images, here arrays, and ``y`` is what they say. Instead of arrays
# it may hold the paths of image files.
from sklearn.model_selection import train_test_split

from skcaptcha.datasets import make_captchas
from skcaptcha.plotting import SamplesDisplay

X, y = make_captchas(
    150, vocabulary="2345678abcdef", length=4, size=(32, 96), random_state=0
)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=50, random_state=0)
SamplesDisplay.from_samples(
    X_train, y_train, max_images=8, title="Eight training images and their texts"
)

# %%
# ``fit`` learns which characters there are, how high the images have to be, and when to
# stop. A seed makes the result the same each time.
from skcaptcha import CaptchaRecognizer

recognizer = CaptchaRecognizer(max_iter=8, random_state=0).fit(X_train, y_train)
recognizer.predict(X_test[:5])

# %%
# ``score`` is the exact match: the share of images whose whole text was read right. The
# report says more.
from skcaptcha.metrics import recognition_report

print(f"exact match {recognizer.score(X_test, y_test):.2f}")
print(recognition_report(y_test, recognizer.predict(X_test)))

# %%
# Wrong texts are shown with the right ones below them. The number at the right is the
# confidence.

# sphinx_gallery_thumbnail_number = 2
from skcaptcha.plotting import PredictionDisplay

PredictionDisplay.from_estimator(
    recognizer, X_test, y_test, title="Images held out, and what was read in them"
)

# %%
# Whatever loads the file reads as this recognizer does; nothing else has to be saved.
import tempfile
from pathlib import Path

import joblib

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "model.joblib"
    joblib.dump(recognizer, path)
    print(joblib.load(path).predict(X_test[:5]))
