"""What learns: the commands `train` and `adapt`.

Packages that take long to load are imported by the commands that need them.
"""

import difflib
import math
import sys
import tomllib
import warnings
from contextlib import redirect_stdout

from skcaptcha._parameters import RECOGNIZER_PARAMS, check_params
from skcaptcha._validation import count
from skcaptcha.cli._data import (
    check_data,
    load_data,
    load_partly_labeled,
    read_labeled,
)
from skcaptcha.cli._models import (
    find_saver,
    is_recognizer,
    load_model,
    save_interrupted,
    save_model,
)
from skcaptcha.cli._output import (
    Interrupted,
    check_input,
    check_outputs,
    divert_descriptor,
    handle_interrupts,
    say,
    write_last,
)
from skcaptcha.cli._reading import find_thresholds
from skcaptcha.datasets._labeled import is_text_file

# Options that say how labels are found.
_OF_LABELS = ("label", "filename_column", "text_column", "delimiter", "encoding")
# Parameters that have an option of their own.
_TRAINING = {"random_state": "--seed", "verbose": "--quiet", "warm_start": "--from"}


def train(options):
    """Train and save, then say how well images held out are read."""
    from sklearn.model_selection import train_test_split

    grid = _check_training(options)
    recognizer = make_recognizer(options)
    check_values(recognizer, grid or {})
    check_input(options.source, "the source")
    X, y = load_data(options)
    check_data(X, y, options, recognizer.background)
    _check_shares(len(X), grid, options)
    X_test, y_test = [], []
    if options.test_size:
        X, X_test, y, y_test = train_test_split(
            X, y, test_size=options.test_size, random_state=options.seed
        )
    say(f"Training on {count(len(X), 'image')} and holding out {len(X_test)}.")
    table = ""
    if grid:
        recognizer, table = _search(recognizer, grid, X, y, options)
    try:
        saved = _fit_and_save(recognizer, X, y, options)
    except BaseException:
        write_last(table)  # which may have taken longest
        raise
    if not saved:
        write_last(table)
        return 130
    report = ""
    if X_test:
        try:
            report = _test(recognizer, X_test, y_test, options)
        except BaseException:
            say(f"The model is in {options.out}")
            raise
    write_last(f"{table}{report}The model is in {options.out}")
    return 0


def adapt(options):
    """Train on images of which few or none have labels, and save."""
    find_saver(options.out)
    check_outputs(options)
    from skcaptcha import SelfTrainingRecognizer

    check_length(options.length)
    recognizer = make_recognizer(options)
    recognizer._check_params()
    reader = SelfTrainingRecognizer(
        recognizer,
        vocabulary=options.characters,
        length=options.length,
        threshold=options.threshold,
        max_iter=options.max_iter,
        verbose=not options.quiet,
    )
    _check_folder(options.folder)
    if options.source is None:
        for name in _OF_LABELS:
            if (value := getattr(options, name)) is not None:
                raise ValueError(
                    f"{name}={value!r} says how labels are found, and there are none "
                    "without --labels; name their source by it, such as the folder"
                )
    X, y = load_partly_labeled(options)
    n_labels = sum(label is not None for label in y)
    unlabeled = count(len(y) - n_labels, "image")
    say(f"Learning from {unlabeled} and {count(n_labels, 'label')}.")
    reader.fit(X, y)
    save_model(reader.recognizer_.set_params(verbose=False), options.out)
    n_read = int((reader.labeled_iter_ > 0).sum())
    rounds = count(reader.n_iter_, "round")
    lines = [
        f"After {rounds} ({reader.termination_condition_}) it learned from {n_read} of "
        f"{unlabeled} without a label."
    ]
    if reader.label_scores_:
        scores = ", ".join(f"{score:.3f}" for score in reader.label_scores_)
        lines.append(f"How well labels were read in turn, before they taught: {scores}")
    write_last("\n".join([*lines, f"The model is in {options.out}"]))


def check_length(length):
    """Raise an error unless a length is one that texts may have."""
    if length is None:
        return
    low, high = length if isinstance(length, tuple) else (length, length)
    if not 1 <= low <= high:
        raise ValueError(f"--length={length!r} must be N or N-M, from 1 upwards")


def _check_folder(folder):
    """Raise an error for a table of labels in the place of a folder of images."""
    check_input(folder, "the folder")
    if folder.is_file() and is_text_file(str(folder)):
        raise ValueError(
            f"{str(folder)!r} is a table; FOLDER must be a folder or zip file of "
            "images: name that, and give the table to --labels"
        )


def _fit_and_save(recognizer, X, y, options):
    """Fit and save a recognizer; return False if its training was interrupted."""
    saved = []

    def prepare():
        # Of this fit alone, not of later ones.
        recognizer.set_params(verbose=False)
        if options.start is not None:
            recognizer.set_params(warm_start=False)
        vars(recognizer).pop("test_scores_", None)  # of the model it started from

    def save():
        prepare()
        save_model(recognizer, options.out)
        saved.append(options.out)

    recognizer._save_fitted = save  # before the checkpoint is removed
    recognizer.fit(X, y)
    if not saved:
        prepare()
        save_interrupted(recognizer, options.out)
    return bool(saved)


def _test(recognizer, X, y, options):
    """Return a report on images held out, draw it, and save the scores."""
    from skcaptcha.cli import _report, _scores
    from skcaptcha.metrics import recognition_report

    _, _, found, notes = read_labeled(recognizer, X, y, options)
    report = recognition_report(y, found.y_pred, output_dict=True)
    recognizer.test_scores_ = {
        "n_samples": len(y),
        "exact_match": report["exact_match"],
        "character_accuracy": report["character_accuracy"],
        "character_accuracy_interval": report["character_accuracy_interval"],
        "min_confidence": find_thresholds(~found.is_issue, found.confidence),
    }
    save_model(recognizer, options.out)
    title = f"{options.out} on images of {options.source} held out"
    report = _scores.describe(X, y, found)
    report = f"How well it reads the images held out:\n\n{report}\n{notes}"
    try:
        _report.write_reports(recognizer, X, y, found, options, title, notes)
    except BaseException:
        write_last(report)
        raise
    return f"{report}\n"


def _check_training(options):
    """Check all that could go wrong after the training; return the grid, if any."""
    from skcaptcha import CaptchaRecognizer
    from skcaptcha.cli import _report

    find_saver(options.out)
    check_outputs(options)
    _report.check_reports(options)
    if not 0 <= options.test_size < 1:
        raise ValueError(f"--test-size={options.test_size} must be in [0, 1)")
    if not options.test_size and (options.picture or options.html):
        raise ValueError(
            "--picture and --html show images held out, and --test-size 0 has none"
        )
    if options.search is None:
        if options.cv is not None or options.jobs is not None:
            raise ValueError("--cv and --jobs are for --search, which is not given")
        return None
    options.cv = 3 if options.cv is None else options.cv
    if options.cv < 2:
        raise ValueError(f"--cv={options.cv} must be at least 2")
    if options.jobs == 0:
        raise ValueError("--jobs=0 must be at least 1, or -1 for one on each core")
    if options.start is not None:
        raise ValueError("--search fits anew, so that --from has no use beside it")
    check_input(options.search, "the search file")
    grid = _read_grid(options.search, CaptchaRecognizer().get_params())
    for name, _ in options.param:
        if name in grid:
            say(f"--param {name} is not used: {options.search} has values to try.")
    return grid


def _check_shares(n_images, grid, options):
    """Raise an error if the images are too few for how they are to be divided."""
    n_train = n_images - math.ceil(options.test_size * n_images)
    if n_train < 2:
        raise ValueError(
            f"--test-size={options.test_size:g} leaves {n_train} of "
            f"{count(n_images, 'image')} to train on, and 2 are the least; hold out "
            "fewer, or give more images"
        )
    if grid and options.cv > n_train:
        raise ValueError(
            f"--cv={options.cv} folds need as many images, and {n_train} are there to "
            "train on; give a smaller number"
        )


def make_recognizer(options):
    """Return the recognizer to fit: a new one, or a fitted one to train on."""
    from skcaptcha import CaptchaRecognizer

    recognizer = CaptchaRecognizer()
    if getattr(options, "start", None) is not None:
        recognizer = load_model(options.start)
        if not is_recognizer(recognizer):
            raise ValueError(
                f"--from={str(options.start)!r} has the type "
                f"{type(recognizer).__name__}; only the training of a "
                "CaptchaRecognizer can be continued"
            )
        # What the labels have more than the vocabulary is added.
        recognizer.set_params(vocabulary=None, checkpoint=None, warm_start=True)
    known = recognizer.get_params()
    recognizer.set_params(random_state=options.seed, verbose=int(not options.quiet))
    return recognizer.set_params(
        **check_names(options.param, known, "CaptchaRecognizer", _TRAINING)
    )


def check_values(recognizer, grid):
    """Raise an error if a value of a parameter, or of the grid, is not allowed."""
    from skcaptcha import CaptchaRecognizer

    recognizer._check_params()
    for name, values in grid.items():
        for value in values:
            check_params(CaptchaRecognizer(**{name: value}), RECOGNIZER_PARAMS)


def check_names(assignments, known, what, options=()):
    """Return the assignments as a dict, if `what` has parameters of these names.

    Those in `options` have an option of their own.
    """
    names = [name for name, _ in assignments]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"--param {name} is given {names.count(name)} times")
        if name in options:
            raise ValueError(f"--param {name} is the option {options[name]}; use that")
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}"
            raise ValueError(f"{what} has no parameter {name!r}; {hint}")
    return dict(assignments)


def _read_grid(path, known):
    try:
        grid = tomllib.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is no TOML: {error}") from error
    check_names(grid.items(), known, "CaptchaRecognizer")
    for name, values in grid.items():
        if name in _TRAINING:
            raise ValueError(
                f"{str(path)!r}: {name} is the option {_TRAINING[name]}; use that"
            )
        if not isinstance(values, list) or not values:
            raise ValueError(
                f"{str(path)!r}: {name} = {values!r} must be a list of values to try"
            )
    if not grid:
        raise ValueError(f"{str(path)!r} names no parameter to try values of")
    return {
        # TOML has no tuples, and a parameter that is a list of numbers wants one.
        name: [tuple(v) if isinstance(v, list) else v for v in values]
        for name, values in grid.items()
    }


def _search(recognizer, grid, X, y, options):
    """Return the recognizer with the best parameters, not yet fitted, and a table."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import GridSearchCV, KFold

    from skcaptcha.images import read_images
    from skcaptcha.metrics import exact_match_scorer

    # Decoded once for all fits.
    images = read_images(X, background=recognizer.background)
    search = GridSearchCV(
        recognizer.set_params(verbose=0),
        grid,
        scoring=exact_match_scorer,
        cv=KFold(options.cv, shuffle=True, random_state=options.seed),
        n_jobs=options.jobs,
        refit=False,
        verbose=0 if options.quiet else 2,
    )
    say(f"Searching by {options.cv}-fold cross-validation.")
    # To standard error, where scikit-learn's progress belongs. That some of the fits
    # do not learn is what the search finds out.
    with (
        redirect_stdout(sys.stderr),
        divert_descriptor(),
        handle_interrupts(Interrupted()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(images, y)
    results = search.cv_results_
    lines = ["Exact match, cross-validated:\n"]
    for i in results["rank_test_score"].argsort(kind="stable"):
        values = ", ".join(f"{k}={v!r}" for k, v in results["params"][i].items())
        mean, spread = results["mean_test_score"][i], results["std_test_score"][i]
        lines.append(f"  {mean:.4f} +/- {spread:.4f}  {values}")
    recognizer.set_params(**search.best_params_, verbose=int(not options.quiet))
    return recognizer, "\n".join(lines) + "\n\n"
