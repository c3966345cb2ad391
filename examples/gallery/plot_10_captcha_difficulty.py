"""
Difficulty of CAPTCHAs
======================

You design text images and want to know what keeps a machine from reading them. Draw
them with more and more of one disturbance, train on each kind, and see how much is
read.
"""

# %%
# Plain print and three disturbances, each in three strengths.
disturbances = {
    "noise": [0, 25, 50],
    "lines": [0, 4, 8],
    "overlap": [0, 0.25, 0.5],
}
plain = {
    "vocabulary": "2345678abcdef",
    "length": 4,
    "size": (24, 72),
    "rotation": 10,
    "lines": 0,
    "dots": 0,
    "noise": 0,
    "overlap": 0,
}

# %%
# One recognizer for each kind of image: 60 images to train on and 100 to read. The
# images are small and each fit has six epochs, to be quick. An attacker has more images
# and more time, so this is the least that a machine reads: from 400 labels even strong
# noise is read (:doc:`/captcha_designers`).
from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import make_captchas


def measure(**disturbance):
    """Return the exact match on images of one kind, and three of them."""
    X, y = make_captchas(160, **{**plain, **disturbance}, random_state=0)
    recognizer = CaptchaRecognizer(image_height=24, max_iter=6, random_state=0)
    return recognizer.fit(X[:60], y[:60]).score(X[60:], y[60:]), X[:3]


nothing = measure()
measured = {
    name: [nothing, *(measure(**{name: strength}) for strength in strengths[1:])]
    for name, strengths in disturbances.items()
}

# %%
from matplotlib import pyplot

figure, axes = pyplot.subplots(1, 3, figsize=(9, 3), layout="constrained", sharey=True)
for ax, (name, strengths) in zip(axes, disturbances.items(), strict=True):
    scores = [score for score, _ in measured[name]]
    ax.plot(strengths, scores, color="black", marker="o")
    ax.set(xlabel=name, xticks=strengths, ylim=(-0.05, 1.05))
axes[0].set_ylabel("exact match")

# %%
# An image of each kind, under its strength.
figure, axes = pyplot.subplots(3, 3, figsize=(9, 4), layout="constrained")
for row, (name, strengths) in zip(axes, disturbances.items(), strict=True):
    for ax, strength, (score, images) in zip(
        row, strengths, measured[name], strict=True
    ):
        ax.imshow(images[0], cmap="gray", vmin=0, vmax=255)
        ax.set_title(f"{name} {strength}: {score:.2f} read", size="medium")
        ax.set_axis_off()
