"""Reports on models and on what they read, as text, pictures and a page."""

import base64
import inspect
import io
import itertools
import math
import textwrap

import numpy as np
from PIL import Image

from skcaptcha._base import BaseRecognizer
from skcaptcha._files import write_atomically
from skcaptcha._intervals import describe_few, wilson_interval
from skcaptcha._optional import import_optional
from skcaptcha._reader import find_background
from skcaptcha._version import __version__
from skcaptcha.cli._models import find_reader, is_pipeline
from skcaptcha.cli._output import say
from skcaptcha.cli._scores import name_image
from skcaptcha.images import read_images
from skcaptcha.model.geometry import list_blocks

# Images of each kind on a page, and of those read right where there is no mistake.
_MAX_CARDS, _MAX_LEAST_SURE = 100, 24
# What layers keep that is not learned by gradients, as the ends of names.
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def check_reports(options):
    """Raise an error now if a report that is asked for could not be made."""
    if options.html is not None:
        import_optional("jinja2", "plot", "the HTML report")
        import_optional("matplotlib", "plot", "the HTML report")
    if options.picture is not None:
        backends = import_optional("matplotlib.backend_bases", "plot", "--picture")
        kinds = backends.FigureCanvasBase.get_supported_filetypes()
        kinds.pop("pgf", None)  # it starts LaTeX, which may not be there
        if options.picture.suffix[1:].lower() not in kinds:
            ends = ", .".join(kinds)
            raise ValueError(
                f"--picture={str(options.picture)!r} must end in one of .{ends}"
            )


def describe(model):
    """Return what a model of any kind is made of and where it comes from."""
    if is_pipeline(model):
        steps = [(name, repr(step)) for name, step in model.steps[:-1]]
        return f"{_section('Steps before', _align(steps))}\n\n{describe(model[-1])}"
    if metadata := getattr(model, "metadata", None):  # of an ONNX file
        sections = _list_input(model, metadata.input_size, metadata.background)
        if rows := _list_thresholds(model.test_scores_):
            sections["Confidence"] = _align(rows)
        return _join({**sections, "Weights": metadata.dtype})
    if hasattr(model, "estimators_") and not hasattr(model, "cv_scores_"):
        # Of `load_pretrained`, whose networks were fitted on no images of the user.
        parts = map(_describe_recognizer, model.estimators_)
        return "\n\n".join(
            f"{_section(f'Recognizer {i}', '')}\n{part}"
            for i, part in enumerate(parts, 1)
        )
    if hasattr(model, "estimators_"):
        scores = enumerate(model.cv_scores_)
        rows = [(f"recognizer {i + 1}", f"{score:.4f}") for i, score in scores]
        title = "Exact match of each on its test part"
        return f"{_section(title, _align(rows))}\n\n{describe(model.estimators_[0])}"
    # A SelfTrainingRecognizer may be the last step of a pipeline.
    return _describe_recognizer(getattr(model, "recognizer_", model))


def _list_values(reader, position, usual):
    """Return a height or factor, all of them where an image is read at several."""
    values = sorted({s[position] for s in getattr(reader, "scales_", ())}) or [usual]
    return ", ".join(f"{value:.3g}" for value in values)


def _list_input(reader, input_size, background):
    """Return the sections on the vocabulary and on what is read, as a dict."""
    characters = reader.vocabulary_.characters
    size = {
        "height": _list_values(reader, 0, input_size["height"]),
        "widened": f"{_list_values(reader, 1, input_size['stretch'])} times",
        "rows": "{:.0%} to {:.0%} of the image's height".format(*input_size["rows"]),
        "channels": input_size["color_mode"],
        "background of what is transparent": background,
    }
    return {
        f"Vocabulary ({len(characters)})": " ".join(map(_name, characters)),
        "What an image is brought to": _align(size.items()),
    }


def _join(sections):
    return "\n\n".join(itertools.starmap(_section, sections.items()))


def _section(title, body):
    return f"{title}\n{textwrap.indent(body, '  ')}"


def _describe_recognizer(recognizer):
    """Return the layers, the vocabulary, the input and the training of a recognizer."""
    from skcaptcha._frames import input_size_of

    input_size = input_size_of(recognizer)
    sections = {
        "Network": _align(_list_layers(recognizer)),
        **_list_input(recognizer, input_size, recognizer.background_),
        "Training": _align(_list_training(recognizer)),
    }
    if choices := getattr(recognizer, "auto_choices_", None):  # not in older models
        sections['What "auto" became'] = _align(choices.items())
    sections["Parameters other than the defaults"] = _align(_list_params(recognizer))
    return _join(sections)


def _list_params(recognizer):
    """Return (name, value) of the parameters that were set, or a row that says none."""
    parameters = inspect.signature(BaseRecognizer).parameters
    values = {name: getattr(recognizer, name) for name in sorted(parameters)}
    rows = [
        (name, repr(value))
        for name, value in values.items()
        if repr(value) != repr(parameters[name].default)
    ]
    return rows or [("none",)]


def _list_training(recognizer):
    """Return (what, value) of the training and of how well the model reads."""
    rows = [
        ("epochs", recognizer.n_iter_),
        ("new starts", recognizer.n_restarts_),
        ("learned to read", "yes" if recognizer.converged_ else "no"),
    ]
    if recognizer.loss_curve_:
        rows.append(("last loss", f"{recognizer.loss_curve_[-1]:.4f} a character"))
    if (best := recognizer.best_validation_score_) is not None:
        # The best of many epochs, so that it has no such interval as a test.
        rows.append(("exact match on its validation images", f"{best:.4f}"))
    if scores := getattr(recognizer, "test_scores_", None):
        held_out = f"exact match on {scores['n_samples']} images held out"
        exact, accuracy = scores["exact_match"], scores["character_accuracy"]
        interval = wilson_interval(exact, scores["n_samples"])
        rows.append((held_out, _show(exact, interval)))
        interval = scores.get("character_accuracy_interval")  # not in older models
        rows.append(("character accuracy on them", _show(accuracy, interval)))
        rows += _list_thresholds(scores)
    return rows


def _list_thresholds(scores):
    """Return (what, value) of the confidence that each share of right texts takes."""
    return [
        (f"confidence from which {precision} are right", f"{least:.6f}")
        for precision, least in scores.get("min_confidence", {}).items()
    ]


def _show(score, interval=None):
    """Return a score with its 95 % interval, if that is known."""
    if not interval:
        return f"{score:.4f}"
    return f"{score:.4f} (95 % interval {interval[0]:.4f} to {interval[1]:.4f})"


def write_reports(model, X, y, found, options, title, notes):
    """Write the picture and the page that are asked for."""
    if options.picture is not None:
        drawn = draw_mistakes(model, X, y, found)
        save_figure(drawn, options.picture)
        say(f"The worst mistakes are drawn in {options.picture}")
    if options.html is not None:
        page = make_page(model, X, y, found, title=title, notes=notes)
        write_atomically(options.html, page.encode("utf-8", "backslashreplace"))
        say(f"The report is in {options.html}")


def draw_mistakes(model, X, y_true, found, *, n_images=24):
    """Return a figure of the mistakes, the most confident first.

    Where there are none, of the images that the model is the least sure of. `found` is
    what `find_label_issues` returned.
    """
    order, wrong = sort_mistakes(found)
    if wrong:
        some = "the most confident of " if wrong > n_images else ""
        title = f"{some}{wrong} mistakes in {len(y_true)} images"
        order = order[: min(wrong, n_images)]
    else:
        title = f"no mistake in {len(y_true)} images; the least confident ones"
        order = order[:n_images]
    from skcaptcha.plotting import PredictionDisplay

    display = PredictionDisplay.from_predictions(
        [X[i] for i in order],
        [found.y_pred[i] for i in order],
        y_true=[y_true[i] for i in order],
        confidence=[found.confidence[i] for i in order],
        background=find_background(find_reader(model)),
        max_images=None,
        title=title[0].upper() + title[1:],
    )
    return display.figure_


def sort_mistakes(found):
    """Return the order, mistakes first and most confident, and their number.

    What is right follows, the least confident first.
    """
    wrong, confidence = found.is_issue, found.confidence
    order = np.lexsort((np.where(wrong, -confidence, confidence), ~wrong))
    return order.tolist(), int(wrong.sum())


def _list_cards(X, y_true, found, order, background):
    """Return what the card of each image shows."""
    images = read_images([X[i] for i in order], background=background)
    return [
        {
            "name": name_image(X[i]),
            "picture": _encode_image(image),
            "predicted": found.y_pred[i],
            "label": y_true[i],
            "confidence": f"{found.confidence[i]:.4f}",
            "label_confidence": f"{found.self_confidence[i]:.2g}",
        }
        for i, image in zip(order, images, strict=True)
    ]


def _encode_image(array):
    """Return an image of at most 800 columns and 400 rows, as PNG in base 64."""
    image, buffer = Image.fromarray(array), io.BytesIO()
    image.thumbnail((800, 400))
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def save_figure(figure, path):
    """Write a figure to a file of the kind that its suffix says, and close it."""
    write_atomically(path, _render(figure, format=path.suffix[1:].lower(), dpi=150))


def make_page(model, X, y_true, found, *, title, notes=""):
    """Return a page that needs no other file: the report with its pictures.

    `notes` are lines to put at its head, what was warned of for example.
    """
    y_pred = found.y_pred
    jinja2 = import_optional("jinja2", "plot", "the HTML report")
    from skcaptcha.metrics import recognition_report
    from skcaptcha.plotting import (
        CharacterConfusionDisplay,
        ConfidenceDisplay,
        TrainingCurveDisplay,
    )

    report = recognition_report(y_true, y_pred, output_dict=True)
    confidences = ConfidenceDisplay.from_predictions(y_true, y_pred, found.confidence)
    confusions = CharacterConfusionDisplay.from_predictions(y_true, y_pred)
    figures = {"confidence": confidences.figure_, "confusions": confusions.figure_}
    recognizer = find_reader(model)
    if getattr(recognizer, "loss_curve_", None):
        figures["training"] = TrainingCurveDisplay.from_estimator(recognizer).figure_
    background = find_background(recognizer)
    order, n_wrong = sort_mistakes(found)
    unlikely = [i for i in order[:n_wrong] if found.is_likely_wrong[i]]
    # Where nothing is wrong, the images that it is the least sure of.
    mistakes = [i for i in order[:n_wrong] if not found.is_likely_wrong[i]]
    shown = mistakes[:_MAX_CARDS] if n_wrong else order[:_MAX_LEAST_SURE]
    parts = {
        "scores": "Scores",
        "mistakes": "Mistakes" if n_wrong else "Least confident",
        **({"labels": "Probably wrong labels"} if unlikely else {}),
        "lengths": "By length of the text",
        **{name: name.capitalize() for name in figures},
        "model": "Model",
    }
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("skcaptcha.cli", "."),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return templates.get_template("report.html").render(
        title=title,
        notes=notes.splitlines(),
        parts=parts,
        totals=_list_totals(report),
        few=describe_few(len(y_true), report["exact_match_interval"]),
        lengths=[
            (n, *_list_score(row, "exact_match"))
            + (*_list_score(row, "character_accuracy"), row["support"])
            for n, row in report["per_length"].items()
        ],
        bins=_list_bins(confidences),
        pictures={
            name: base64.b64encode(_render(figure, format="png", dpi=110)).decode()
            for name, figure in figures.items()
        },
        mistakes=_list_cards(X, y_true, found, shown, background),
        unlikely=_list_cards(X, y_true, found, unlikely[:_MAX_CARDS], background),
        n_images=len(y_true),
        n_wrong=n_wrong,
        n_mistakes=len(mistakes),
        n_unlikely=len(unlikely),
        description=describe(model),
        version=__version__,
    )


def _list_totals(report):
    """Return the scores of all images, each with its interval."""
    low, high = report["character_accuracy_interval"]
    rate = report["character_error_rate"]
    # More edits than characters leave the accuracy at 0, which has no other end.
    between = f"{1 - high:.4f} to {1 - low:.4f}" if rate <= 1 else ""
    return [
        ("exact match", *_list_score(report, "exact_match")),
        ("character accuracy", *_list_score(report, "character_accuracy")),
        ("character error rate", f"{rate:.4f}", between),
    ]


def _list_bins(display):
    """Return a row for each interval of confidence that has texts in it."""
    edges, rows = display.bin_edges, []
    values = display.counts, display.prob_true, display.prob_pred
    for low, high, n, share, mean in zip(edges[:-1], edges[1:], *values, strict=True):
        if n:
            first, last = wilson_interval(share, n)
            right = f"{share:.4f}", f"{first:.4f} to {last:.4f}", f"{mean:.4f}"
            rows.append((f"{low:.2f} to {high:.2f}", n, round(share * n), *right))
    return rows


def _list_score(scores, name):
    low, high = scores[f"{name}_interval"]
    return f"{scores[name]:.4f}", f"{low:.4f} to {high:.4f}"


def _render(figure, **options):
    """Return a figure as the content of an image file, and close it."""
    from matplotlib import pyplot

    buffer = io.BytesIO()
    figure.savefig(buffer, **options)
    pyplot.close(figure)
    return buffer.getvalue()


def _list_layers(recognizer):
    """Return (layer, shape of its output, parameters), with a header and the sum.

    No network is run, as a model that is only described may have none.
    """
    config, height = recognizer._network_config, recognizer.image_height_
    weights = vars(recognizer).get("_weights") or recognizer.network_.state_dict()
    width = 4 * height
    image = config["in_channels"], height, width
    shapes = {}
    blocks = list_blocks(config["conv_channels"], config["residual_blocks"])
    for i, (channels, halves_width, residual) in enumerate(blocks):
        height = height if residual else -(-height // 2)
        width //= 2 if halves_width else 1
        shapes[f"blocks.{i}"] = channels, height, width
    for i in range(config["lstm_layers"]):
        shapes[f"lstms.{i}"] = width, 2 * config["lstm_units"]
    shapes["head"] = width, config["n_classes"]
    rows = [
        ("layer", "output", "parameters"),
        ("an image of " + "x".join(map(str, image)), "", ""),
    ]
    for name, shape in shapes.items():
        n_parameters = _count_parameters(weights, name)
        rows.append((name, "x".join(map(str, shape)), f"{n_parameters:,}"))
    n_parameters = sum(_count_parameters(weights, name) for name in shapes)
    return [*rows, ("in all", "", f"{n_parameters:,}")]


def _count_parameters(weights, layer):
    """Return how many numbers of a layer are learned by gradients."""
    return sum(
        math.prod(weight.shape)
        for name, weight in weights.items()
        if name.startswith(f"{layer}.") and not name.endswith(_STATISTICS)
    )


def _align(rows):
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _name(character):
    visible = character.isprintable() and character != " "
    return character if visible else repr(character)
