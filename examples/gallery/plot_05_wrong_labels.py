"""
Finding wrong labels
====================

Let networks judge labels that they have not learned from, and look at the images.
"""

# %%
# Images with labels, six of them typed wrong.
from skcaptcha import CaptchaRecognizer
from skcaptcha.datasets import make_captchas

X, y = make_captchas(
    200, vocabulary="2345678abcdef", length=4, size=(32, 80), random_state=0
)
wrong = [7, 31, 64, 110, 145, 192]
for i in wrong:
    y[i] = y[i][0] + ("2" if y[i][1] != "2" else "a") + y[i][2:]

# %%
# A clone of the recognizer is fitted on two thirds of the images and reads the rest, in
# turn. Labels that are likely wrong have a cross.
from skcaptcha.inspection import find_label_issues
from skcaptcha.plotting import LabelIssuesDisplay

recognizer = CaptchaRecognizer(max_iter=10, random_state=0)
found = find_label_issues(recognizer, X, y, cv=3, as_frame=True)
LabelIssuesDisplay.from_results(X, y, found, max_images=12)

# %%
# The same as a table, to sort and to save.
print(found.frame.head(8).round(4).to_string())

# %%
# What is called likely wrong is so nearly always. The others among the doubtful labels
# are worth a look as well: those that were typed wrong stand above the misread ones.
likely = found.frame.index[found.frame["is_likely_wrong"]]
print(f"called likely wrong: {sorted(likely)}")
print(f"first of the table:  {sorted(found.frame.index[: len(wrong)])}")
print(f"typed wrong:         {wrong}")
