"""
Confidence and rejection
========================

A recognizer knows how sure it is. Accept the texts that it is sure of, and hand the
others to a person.
"""

# %%
# Images that are hard to read, so that there are mistakes: one part to train on, one to
# choose the threshold, and one to try it on.
from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import make_captchas

X, y = make_captchas(
    900,
    vocabulary="2345678abcdef",
    length=4,
    size=(32, 80),
    rotation=25,
    overlap=0.3,
    noise=20,
    random_state=0,
)
train, choose, test = slice(100), slice(100, 500), slice(500, None)
recognizer = CaptchaRecognizer(max_iter=6, random_state=0).fit(X[train], y[train])

# %%
# The confidence is the probability of the whole text. At the left, how often texts of
# some confidence are right; at the right, which share of the accepted texts is wrong,
# when more and more are accepted, the surest first.
from skcaptcha.plotting import ConfidenceDisplay

ConfidenceDisplay.from_estimator(
    recognizer, X[choose], y[choose], title="How far to trust the confidence"
)

# %%
# The lowest threshold at which at least 97 % of what is accepted is right.
import numpy as np

from skcaptcha.metrics import confidence_threshold

texts, confidence = recognizer.predict(X[choose], return_confidence=True)
threshold = confidence_threshold(texts == np.array(y[choose]), confidence, 0.97)
print(f"accept from a confidence of {threshold:.3f} on")

# %%
# On images that had no part in the choice:
texts = recognizer.predict(X[test])
confidence = recognizer.predict_confidence(X[test])
is_right = texts == np.array(y[test])
accepted = confidence >= threshold
print(f"all texts: {is_right.mean():.2f} right")
print(f"accepted:  {is_right[accepted].mean():.2f} right, {accepted.mean():.2f} of all")

# %%
# The others are left to a person, who is shown what they may say.
unsure = [X[test][i] for i in np.flatnonzero(~accepted)[:3]]
for alternatives in recognizer.predict_topk(unsure, k=3):
    print(*(f"{text} {share:.2f}" for text, share in alternatives), sep="  ")
