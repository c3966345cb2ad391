"""
Looking inside CTC
==================

The network reads an image in steps from left to right, and says in each of them how
probable each character is, or the blank: nothing new here. The text is what is left
when repeats are merged and blanks dropped.
"""

# %%
# A recognizer of a few digits, and an image with a digit twice in a row.
from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import make_captchas

X, y = make_captchas(
    120, vocabulary="01234567", length=5, size=(32, 112), random_state=3
)
recognizer = CaptchaRecognizer(max_iter=8, random_state=0).fit(X[:100], y[:100])
index = next(i for i in range(100, 120) if any(c * 2 in y[i] for c in "01234567"))
print(y[index], recognizer.predict([X[index]]))

# %%
# ``frame_log_proba`` has a row for each time step and a column for each class; class 0
# is the blank.
[log_proba] = recognizer.frame_log_proba([X[index]])
print(log_proba.shape)

# %%
# The most probable class of each step, with ``-`` for the blank. Between equal
# characters a blank has to stand, or they would be merged into one.
characters = "-" + "".join(recognizer.vocabulary_.characters)
print("".join(characters[k] for k in log_proba.argmax(axis=1)))

# %%
# The same as a picture. A dashed line leads from the place of each character in the
# image to its step.
from skcaptcha.plotting import AlignmentDisplay

AlignmentDisplay.from_estimator(recognizer, X, y, index=index)

# %%
# ``skcaptcha.model.decoding`` turns such a matrix into text. The best path takes the
# most probable class of each step; a beam search sums over all paths of a text, of
# which there may be thousands. The probability of the text is the confidence.
import numpy as np

from skcaptcha.model.decoding import beam_search, best_path
from skcaptcha.vocabulary import BLANK

symbols = best_path(log_proba, blank=BLANK)
print(recognizer.vocabulary_.decode(symbols))
for symbols, log_probability in beam_search(log_proba, blank=BLANK, n_best=3):
    print(recognizer.vocabulary_.decode(symbols), f"{np.exp(log_probability):.4f}")
