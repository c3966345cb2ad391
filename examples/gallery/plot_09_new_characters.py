"""
Fine-tuning to new characters
=============================

A recognizer of digits is to read other characters as well, and there are few
images that show them. It continues from what it knows.
"""

# %%
# Many images of digits, and a few with other characters.
from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import make_captchas

style = {"length": 3, "size": (32, 80), "random_state": 0}
digits, digit_texts = make_captchas(140, vocabulary="0123456789", **style)
mixed, mixed_texts = make_captchas(80, vocabulary="0123456789#%&+?", **style)
new, new_texts = mixed[:40], mixed_texts[:40]
tests = {
    "digits": (digits[100:], digit_texts[100:]),
    "with new ones": (mixed[40:], mixed_texts[40:]),
}

recognizer = CaptchaRecognizer(max_iter=6, random_state=0)
recognizer.fit(digits[:100], digit_texts[:100])
print("".join(recognizer.vocabulary_.characters))
before = {name: recognizer.score(*test) for name, test in tests.items()}

# %%
# With ``warm_start=True``, ``fit`` continues from the network of the fit before. New
# characters get weights of their own. Some of the old images are mixed in, so that they
# are not forgotten.
recognizer.set_params(warm_start=True, max_iter=15)
recognizer.fit(new + digits[:40], new_texts + digit_texts[:40])
print("".join(recognizer.vocabulary_.characters))
after = {name: recognizer.score(*test) for name, test in tests.items()}

# %%
import numpy as np
from matplotlib import pyplot

figure, ax = pyplot.subplots(figsize=(5, 3), layout="constrained")
places = np.arange(len(tests))
for shift, (name, scores, color) in zip(
    (-0.2, 0.2),
    [("before", before, "lightgray"), ("after", after, "dimgray")],
    strict=True,
):
    bars = ax.bar(places + shift, list(scores.values()), 0.38, color=color, label=name)
    ax.bar_label(bars, fmt="%.2f")
ax.set_xticks(places, list(tests))
ax.set(ylim=(0, 1.15), ylabel="exact match")
ax.set_title("Digits and new characters, before and after")
ax.legend(ncols=2, loc="upper center", frameon=False)

# %%
# What it reads now.

# sphinx_gallery_thumbnail_number = 2
from skcaptcha.plotting import PredictionDisplay

PredictionDisplay.from_estimator(
    recognizer,
    mixed[40:],
    mixed_texts[40:],
    max_images=8,
    title="Digits and new characters, read after fine-tuning",
)
