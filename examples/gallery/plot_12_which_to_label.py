"""
Asking for the labels that teach most
=====================================

``skcaptcha label FOLDER`` opens a page on which you label the images that the reader is
least sure of, and learns from them meanwhile (:doc:`/label`). This is what it does, in
a few lines and with a program in place of a person.
"""

# %%
# 120 images whose texts nobody has typed, and 40 others to see what labels bring.
import numpy as np

from skcaptcha import CaptchaRecognizer, SelfTrainingRecognizer, load_pretrained
from skcaptcha.datasets import make_captchas

characters = "2345678bcdefgmnpwxy"
images, texts = make_captchas(
    160,
    vocabulary=characters,
    length=4,
    size=(40, 110),
    noise=30,
    rotation=35,
    lines=5,
    random_state=3,
)
X, X_test, y_test = images[:120], images[120:], texts[120:]

# %%
# The pretrained weights read all of them. The least sure come first.
known = {"vocabulary": characters, "length": 4}
pretrained = load_pretrained()
read, confidence = pretrained.predict(X, return_confidence=True, **known)
order = np.argsort(confidence)

# %%
from skcaptcha.plotting import PredictionDisplay

PredictionDisplay.from_predictions(
    [X[i] for i in order[:8]], read[order[:8]], title="What to label first"
)

# %%
# A person labels the first 24. About half of the proposals are right, and are accepted
# as they are; the others are where the reader errs.
labels = [None] * len(X)
for i in order[:24]:
    labels[i] = texts[i]
n_right = sum(read[i] == texts[i] for i in order[:24])
share = np.mean(read == np.array(texts[:120]))
print(f"{n_right} of 24 proposals were right, of all {share:.2f}")

# %%
# It learns from the labels, and from what is read surely of the other images.
reader = SelfTrainingRecognizer(
    CaptchaRecognizer(max_iter=6, random_state=0), max_iter=1, **known
)
reader.fit(X, labels)

before = np.mean(pretrained.predict(X_test, **known) == np.array(y_test))
print(f"exact match before: {before:.2f}")
print(f"after 24 labels:    {reader.score(X_test, y_test):.2f}")
