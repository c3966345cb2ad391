"""
Difficulty of CAPTCHAs
======================

You design text images and want to know what keeps a machine from reading them. Draw
them with more and more of one disturbance, train on each kind, and see how much is
read.

This example is kept short: tiny images, few labels, and training that stops early. Its
scores are too low to judge a design by. :doc:`/captcha_designers` has those of
usual images and default training.
"""

# %%
# Plain print: everything that disturbs is 0. Then three disturbances, each in three
# strengths.
plain = {
    "vocabulary": "2345678abcdef",
    "length": 4,
    "size": (24, 72),
    "rotation": 0,
    "warp": 0,
    "overlap": 0,
    "size_jitter": 0,
    "lines": 0,
    "dots": 0,
    "gradient": 0,
    "noise": 0,
}
disturbances = {
    "noise": [0, 25, 50],
    "lines": [0, 4, 8],
    "overlap": [0, 0.25, 0.5],
}

# %%
# One recognizer for each kind of image learns from 60 of them and reads 100 others.
# ``max_iter=10`` keeps it short. The default trains longer and reads more.
from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import make_captchas


def measure(**disturbance):
    """Return the exact match on images of one kind, and three of them."""
    X, y = make_captchas(160, **{**plain, **disturbance}, random_state=0)
    recognizer = CaptchaRecognizer(image_height=24, max_iter=10, random_state=0)
    return recognizer.fit(X[:60], y[:60]).score(X[60:], y[60:]), X[:3]


nothing = measure()
measured = {
    name: [nothing, *(measure(**{name: strength}) for strength in strengths[1:])]
    for name, strengths in disturbances.items()
}

# %%
# The share of texts that are read wholly right, against the strength.
from matplotlib import pyplot

figure, axes = pyplot.subplots(1, 3, figsize=(9, 3), layout="constrained", sharey=True)
figure.suptitle("Exact match against the strength of noise, lines and overlap")
for ax, (name, strengths) in zip(axes, disturbances.items(), strict=True):
    scores = [score for score, _ in measured[name]]
    ax.plot(strengths, scores, color="black", marker="o")
    ax.set(xlabel=name, xticks=strengths, ylim=(-0.05, 1.05))
axes[0].set_ylabel("exact match")

# %%
# An image of each kind, under its strength.
figure, axes = pyplot.subplots(3, 3, figsize=(9, 4), layout="constrained")
figure.suptitle("An image of each strength, and the exact match on its kind")
for row, (name, strengths) in zip(axes, disturbances.items(), strict=True):
    for ax, strength, (score, images) in zip(
        row, strengths, measured[name], strict=True
    ):
        ax.imshow(images[0], cmap="gray", vmin=0, vmax=255)
        ax.set_title(f"{name} {strength}: {score:.2f}", size="medium")
        ax.set_axis_off()
