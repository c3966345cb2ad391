"""The commands that open a page: to label images, and to check labels."""

import os
import zipfile
from functools import partial
from pathlib import Path

from skcaptcha import CaptchaRecognizer, load_pretrained
from skcaptcha._optional import import_optional
from skcaptcha._reader import find_background
from skcaptcha._validation import count
from skcaptcha.cli._models import (
    find_free,
    find_reader,
    find_saver,
    load_model,
    make_reader,
)
from skcaptcha.cli._output import check_input, say, write
from skcaptcha.cli._training import check_length, check_names
from skcaptcha.labeling._learner import Learner
from skcaptcha.labeling._rules import Rules
from skcaptcha.labeling._server import LabelServer, open_folder, open_issues
from skcaptcha.vocabulary import Vocabulary

_TABLES = (".csv", ".tsv", ".txt")


def label(options):
    """Serve the page to label on until Ctrl-C."""
    _check_extra()
    check_input(options.folder, "the folder")
    if not options.folder.is_dir():
        raise ValueError(
            f"{str(options.folder)!r} is no folder; give the one that the images are in"
        )
    out = options.out or options.folder / "labels.csv"
    _check_table(out)
    rules = _make_rules(options)
    _check_model(options)
    session = open_folder(options.folder, out, rules, **_describe_form(options))
    try:
        learner, load, session.catalog.background = _make_learner(options, session)
    except BaseException:
        session.close()
        raise
    return _serve(session, options, learner, load)


def _describe_form(options):
    """Return how the table is read, as `LabelStore` takes it."""
    return {
        "names": (options.filename_column, options.text_column),
        "delimiter": options.delimiter,
        "encoding": options.encoding,
    }


def check_page(options):
    """Check what goes for the page of `check-labels`; return its rules and table."""
    _check_extra()
    check_input(options.source, "the source")
    if options.source.is_file() and zipfile.is_zipfile(options.source):
        raise ValueError(
            f"{str(options.source)!r} is a zip file, in which no label can be "
            "corrected; unpack it, and give the folder"
        )
    rules, out = _make_rules(options), options.table or _find_table(options.source)
    _check_table(out)
    if options.format != "text":
        raise ValueError(
            f"--format={options.format!r} is of the table, which --page does not write"
        )
    return rules, out


def serve_issues(options, X, y, found, background, rules, out):
    """Serve the page to check labels on until Ctrl-C."""
    table = {}
    if os.path.abspath(out) == os.path.abspath(_find_table(options.source)):
        table = _describe_form(options)
    session = open_issues(X, y, found, out, rules, background=background, **table)
    say(f"{count(len(session.issues), 'label')} of {len(y)} differ from what is read.")
    _serve(session, options)


def _serve(session, options, learner=None, load=None):
    try:
        server = LabelServer(session, port=options.port)
    except BaseException:
        session.close()
        raise
    try:
        session.start(learner, load)
        say(f"Open {server.url}")
        say("It works on this machine alone. Ctrl-C ends; what is saved is not lost.")
        server.run(open_browser=not options.no_browser)
    except KeyboardInterrupt:  # before it served
        pass
    finally:
        server.close()
    _report(session)
    if learner is not None and learner.was_saving:
        say(
            "skcaptcha: the reader was not saved, as it was still learning from all "
            "labels; start again, press Save, and wait until it says where it is"
        )
        return 1
    return 0


def _report(session):
    """Say where the labels are; a ValueError says why some are not in the table."""
    store = session.store
    if store.trouble:
        waiting = ""
        if store.n_pending:
            waiting = (
                f"; {count(store.n_pending, 'answer')} that it lacks are safe in "
                f"{store.journal_path.name} beside it, and come into it when you start "
                "the command again"
            )
        raise ValueError(f"{store.path} is left as it is: {store.trouble}{waiting}")
    if store.notice:
        say(store.notice)
    if names := store.waiting:
        say(
            f"{count(len(names), 'label')} not in the table, as the files are gone "
            f"({_name_some(names)}); each comes back with its file"
        )
    if names := store.orphans:
        say(
            f"{count(len(names), 'row')} of {store.path} without a file "
            f"({_name_some(names)}): delete them, or train with --on-error skip"
        )
    n_labeled = session.progress()["n_labeled"] if store.path.exists() else 0
    write(f"{n_labeled} labels are in {store.path}\n")


def _name_some(names):
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _check_extra():
    for module in ("flask", "waitress", "filelock"):
        import_optional(module, "label", "the page to label on")


def _check_table(out):
    if out.suffix.lower() not in _TABLES:
        raise ValueError(
            f"--out={str(out)!r} must be a name that ends in {', '.join(_TABLES)}; the "
            "page writes no other tables"
        )
    if not out.parent.is_dir():
        raise ValueError(f"the folder of --out, {str(out.parent)!r}, is missing")
    if out.is_dir():
        raise ValueError(
            f"--out={str(out)!r} is a folder; add the name of a file to it"
        )


def _make_rules(options):
    if options.characters is not None:
        try:
            Vocabulary(options.characters)
        except ValueError as error:
            raise ValueError(
                f"--characters={options.characters!r} must be characters, each once "
                f"({error})"
            ) from error
    check_length(options.length)
    return Rules(options.characters, options.length)


def _make_recognizer(recognizer, options):
    known = recognizer.get_params()
    recognizer.set_params(random_state=0)
    recognizer.set_params(
        **check_names(options.param, known, "CaptchaRecognizer", {"verbose": "nothing"})
    )
    recognizer._check_params()
    return recognizer


def _check_model(options):
    if options.save_model is not None:
        find_saver(options.save_model, "--save-model")
        folder = options.save_model.parent
        if not folder.is_dir():
            raise ValueError(f"the folder of --save-model, {str(folder)!r}, is missing")
    _make_recognizer(CaptchaRecognizer(), options)


def _find_start(options, session):
    """Return the model to begin with; None is for the pretrained one."""
    if options.model is not None or options.save_model is None:
        return options.model
    if not options.save_model.exists():
        return None
    if session.store.noted("saved_from_all"):
        # It would be tested on what it has learned from.
        say(f"{options.save_model} knows all labels; rounds begin anew without it")
        return None
    say(f"Continuing from {options.save_model}")
    return options.save_model


def _make_learner(options, session):
    """Return what learns, what loads the reader to begin with, and the background."""
    is_named = options.save_model is not None
    save_path = options.save_model or session.store.path.with_name("model.joblib")
    model = _find_start(options, session)
    load, start, recognizer = None, None, CaptchaRecognizer()
    background = None
    if model is not None and (str(model) != "pretrained" or model.exists()):
        found = load_model(model)
        load = partial(_load_reader, os.path.abspath(model))
        background = find_background(find_reader(found))
        if type(found) is CaptchaRecognizer:
            recognizer, start = CaptchaRecognizer(**found.get_params()), load
            recognizer.set_params(vocabulary=None, checkpoint=None, verbose=False)
    recognizer = _make_recognizer(recognizer, options)
    if background is None:
        background = recognizer.background
    if load is None:
        load = partial(load_pretrained, background=background)
    learner = Learner(
        recognizer,
        load,
        save_path if is_named else find_free(save_path),
        partial(_save_reader, is_named=is_named),
        start=start,
        every=options.learn_every,
        save_each=is_named,
    )
    return learner, load, background


def _load_reader(path):
    return make_reader(load_model(Path(path)))


def _save_reader(recognizer, path, *, is_own, is_named):
    """Save a recognizer, beside what others have saved meanwhile; return where.

    A file is only replaced if the user has named it, or if the page has written it.
    """
    if not (is_own or is_named):
        path = find_free(path)
    find_saver(path)(recognizer, path)
    return path


def _find_table(source):
    """Return the table of labels of a source, or the one that is made for it."""
    from skcaptcha.datasets._labeled import is_text_file
    from skcaptcha.datasets._source import Folder
    from skcaptcha.datasets._tables import list_tables

    if source.is_file() and is_text_file(str(source)):
        return source
    if not source.is_dir():
        return source.with_name("labels.csv")
    tables = list_tables(Folder(str(source)))
    return source / (str(tables[0]) if len(tables) == 1 else "labels.csv")
