"""
Tuning with GridSearchCV
========================

The default parameters are meant to do for most images. Where they don't, search others
as with any estimator of scikit-learn.
"""

# %%
# Images are decoded once here, before the search. If they were paths, each fit would
# read its files anew.
from skcaptcha.datasets import make_captchas

X, y = make_captchas(
    120, vocabulary="0123456789", length=3, size=(24, 64), random_state=0
)

# %%
# Two parameters, and one split into training and held-out images: four fits. ``cv=5``
# tells more and takes five times as long. Scored by characters, short fits differ
# sooner than by whole texts; ``SCORERS`` has both.
from sklearn.model_selection import GridSearchCV, ShuffleSplit

from skcaptcha import CaptchaRecognizer
from skcaptcha.metrics import SCORERS

search = GridSearchCV(
    CaptchaRecognizer(image_height=24, max_iter=5, random_state=0),
    {"learning_rate_init": [0.0003, 0.003], "augmentation": [0.0, 1.0]},
    scoring=SCORERS,
    refit="exact_match",
    cv=ShuffleSplit(n_splits=1, test_size=40, random_state=0),
)
search.fit(X, y)
print(search.best_params_)

# %%
# ``cv_results_`` holds what was measured. Forty held-out images tell differences of a
# tenth, and no smaller ones.
import numpy as np
from matplotlib import pyplot

rates = search.param_grid["learning_rate_init"]
strengths = search.param_grid["augmentation"]
# The grid goes through its parameters by name, the last one fastest.
scores = search.cv_results_["mean_test_exact_match"]
scores = scores.reshape(len(strengths), len(rates))

figure, ax = pyplot.subplots(figsize=(5, 3.2), layout="constrained")
image = ax.imshow(scores, cmap="Grays", vmin=0, vmax=1)
ax.set_xticks(range(len(rates)), rates)
ax.set_yticks(range(len(strengths)), strengths)
ax.set(xlabel="learning_rate_init", ylabel="augmentation")
ax.set_title("exact match of each pair of values")
for (row, column), score in np.ndenumerate(scores):
    color = "white" if score > 0.5 else "black"
    ax.text(column, row, f"{score:.2f}", color=color, ha="center", va="center")

# %%
# ``refit`` has fitted the best candidate once more, on all images. The search itself
# now reads.
print(search.predict(X[:3]), y[:3])
