"""
Which steps of preprocessing help?
==================================

The recognizer reads images as they come and learns to see through noise. Whether it
helps to clean them first depends on the images, so leave out one step after the other
and see. The steps need OpenCV: ``pip install "skcaptcha[preprocessing]"``.
"""

# %%
# Uneven paper, specks and noise.
from sklearn.model_selection import train_test_split

from skcaptcha.datasets import make_captchas

X, y = make_captchas(
    120,
    vocabulary="0123456789",
    length=3,
    size=(32, 80),
    lines=1,
    dots=60,
    gradient=0.7,
    noise=25,
    random_state=0,
)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=60, random_state=0)

# %%
# Images in, images out, and at the end texts.
from sklearn.pipeline import Pipeline

from skcaptcha import CaptchaRecognizer
from skcaptcha.preprocessing import CLAHE, AdaptiveThreshold, MedianFilter

steps = {
    "median": MedianFilter(size=3),
    "contrast": CLAHE(clip_limit=2.0),
    "threshold": AdaptiveThreshold(block_size=15, offset=10),
}
recognizer = CaptchaRecognizer(image_height=24, max_iter=6, random_state=0)
pipeline = Pipeline([*steps.items(), ("recognizer", recognizer)])

# %%
# A step that is ``"passthrough"`` does nothing. The same works in ``GridSearchCV``,
# which decides by cross-validation: ``{"median": ["passthrough", MedianFilter()]}``.
from sklearn.base import clone

scores, fitted = {}, {}
for name, left_out in [
    ("all steps", []),
    *((f"without {step}", [step]) for step in steps),
    ("no step", list(steps)),
]:
    candidate = clone(pipeline).set_params(**dict.fromkeys(left_out, "passthrough"))
    fitted[name] = candidate.fit(X_train, y_train)
    scores[name] = candidate.score(X_test, y_test)

# %%
# A bar is the exact match on 60 images, and reaches as far to either side as chance
# may: two standard errors. Bars that overlap say little; take more images and more
# seeds.
import numpy as np
from matplotlib import pyplot

values = np.array(list(scores.values()))
errors = 2 * np.sqrt(values * (1 - values) / len(X_test))
figure, ax = pyplot.subplots(figsize=(6, 3), layout="constrained")
ax.barh(list(scores), values, xerr=errors, color="lightgray", edgecolor="black")
ax.invert_yaxis()
ax.set(xlim=(0, 1), xlabel="exact match", title="Each step left out in turn")

# %%
# What the steps did to each image, on the right of it.
from skcaptcha.plotting import PredictionDisplay

PredictionDisplay.from_estimator(
    fitted["all steps"],
    X_test,
    y_test,
    max_images=8,
    title="Before the steps, and after them",
)
