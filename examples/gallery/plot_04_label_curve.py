"""
Would more labels help?
=======================

Label some images, fit on parts of them, and estimate what more labels would bring.
"""

# %%
# Images of which 160 have been labeled so far.
from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import make_captchas

X, y = make_captchas(
    560,
    vocabulary="2345678abcdef",
    length=4,
    size=(32, 80),
    rotation=25,
    overlap=0.3,
    noise=20,
    random_state=0,
)
labeled, others, test = slice(160), slice(360), slice(360, None)
recognizer = CaptchaRecognizer(max_iter=6, random_state=0)

# %%
# The rings are what fits on parts of the labels read of a quarter that was held out.
# The line continues as a power law does; the gray area is its interval.
from skcaptcha.inspection import label_curve
from skcaptcha.plotting import LabelCurveDisplay

curve = label_curve(recognizer, X[labeled], y[labeled], random_state=0)
LabelCurveDisplay.from_results(curve)

# %%
# Ask it for any number of labels, for what some more would add, and for how many labels
# a score takes.
law = curve.power_law
score, (low, high) = law.predict(360, return_interval=True)
print(f"from 360 labels: {score:.2f} ({low:.2f} to {high:.2f})")
print(f"by 200 more: +{law.predict_gain(160, 200):.2f}")
print(f"labels for 0.9: {law.find_size(0.9):.0f}")

# %%
# Here the other labels are known, so that the estimate can be tried.
score = recognizer.fit(X[others], y[others]).score(X[test], y[test])
print(f"read with 360 labels: {score:.2f}")
