"""
Learning without labels
=======================

Images are at hand, and nobody has typed what they show. The pretrained weights read
them at once; :class:`~skcaptcha.SelfTrainingRecognizer` learns from what they are sure
of, and reads better.
"""

# %%
# 100 images to learn from, without their texts, and 40 to see what it brings.
from skcaptcha import CaptchaRecognizer, SelfTrainingRecognizer, load_pretrained
from skcaptcha.datasets import make_captchas

images, texts = make_captchas(
    140,
    vocabulary="2345678bcdefgmnpwxy",
    length=4,
    size=(40, 110),
    noise=25,
    rotation=30,
    lines=4,
    random_state=0,
)
unlabeled, X_test, y_test = images[:100], images[100:], texts[100:]

# %%
# What is read before anything is learned, without being told what there may be.
pretrained = load_pretrained()
print(f"exact match of the pretrained weights: {pretrained.score(X_test, y_test):.2f}")

# %%
# Three rounds of reading and learning. It finds out by itself which characters there
# are, and how many in each image.
reader = SelfTrainingRecognizer(
    CaptchaRecognizer(max_iter=6, random_state=0), verbose=True
)
reader.fit(unlabeled)
print("".join(reader.vocabulary_.characters))
print(f"exact match after it: {reader.score(X_test, y_test):.2f}")

# %%
# The texts that it learned from, and the round that found each. Those of which it was
# not sure have none; label these, if you label any.
for text, n_iter in list(zip(reader.transduction_, reader.labeled_iter_, strict=True))[
    :5
]:
    print(n_iter, text)
print(f"{(reader.labeled_iter_ == -1).sum()} of {len(unlabeled)} have no text")
print(reader.termination_condition_)

# %%
from skcaptcha.plotting import PredictionDisplay

PredictionDisplay.from_estimator(
    reader, X_test, y_test, max_images=8, title="Read after learning without labels"
)
