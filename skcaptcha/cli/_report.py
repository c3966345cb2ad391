"""Reports on models and on what they read, as text, pictures and a page."""

import base64
import html
import io

import numpy as np
import torch

from skcaptcha import __version__
from skcaptcha._files import write_atomically
from skcaptcha.metrics import exact_match_score, recognition_report

__all__ = ["describe", "draw_mistakes", "make_page", "save_figure"]

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
       padding: 0 1rem; color: #1a1a1a; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
img { max-width: 100%; height: auto; display: block; margin: .5rem 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; } caption { text-align: left; color: #555; }
th, td { text-align: right; padding: .15rem .8rem; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
pre { overflow-x: auto; background: #f6f6f6; padding: .8rem; }
"""


def describe(recognizer):
    """Return the layers, the vocabulary, the recipe and the training of a model."""
    network = recognizer.network_
    rows = [("layer", "output", "parameters"), *_list_layers(recognizer)]
    n_parameters = sum(p.numel() for p in network.parameters())
    rows.append(("in all", "", f"{n_parameters:,}"))
    characters = recognizer.vocabulary_.characters
    height, color_mode = recognizer.image_height_, recognizer.color_mode_
    recipe = {
        "height": height,
        "widened": f"{recognizer.width_stretch_:.3g} times",
        "rows": "{:.0%} to {:.0%} of the image's height".format(*recognizer.text_rows_),
        "channels": color_mode,
        "background of what is transparent": recognizer.background_,
    }
    training = {
        "epochs": recognizer.n_iter_,
        "new starts": recognizer.n_restarts_,
        "learned to read": "yes" if recognizer.converged_ else "no",
    }
    if recognizer.loss_curve_:
        training["last loss"] = f"{recognizer.loss_curve_[-1]:.4f} a character"
    if recognizer.best_validation_score_ is not None:
        best = recognizer.best_validation_score_
        training["exact match on its validation images"] = f"{best:.4f}"
    scores = getattr(recognizer, "test_scores_", None)
    if scores:
        training[f"exact match on {scores['n_samples']} images held out"] = (
            f"{scores['exact_match']:.4f}"
        )
        training["character accuracy on them"] = f"{scores['character_accuracy']:.4f}"
    sections = [
        ("Network", _align(rows)),
        (f"Vocabulary ({len(characters)})", " ".join(map(_name, characters))),
        ("What an image is brought to", _align(recipe.items())),
        ("Training", _align(training.items())),
        ("Parameters", repr(recognizer)),
    ]
    return "\n\n".join(f"{title}\n{_indent(body)}" for title, body in sections)


def draw_mistakes(X, y_true, y_pred, confidence, *, n_images=24):
    """Return a figure of the mistakes, the most confident first.

    Where there are none, of the images that it is the least sure of.
    """
    from skcaptcha.plotting import PredictionDisplay

    order, wrong = sort_mistakes(y_true, y_pred, confidence)
    if wrong:
        some = "the most confident of " if wrong > n_images else ""
        title = f"{some}{wrong} mistakes in {len(y_true)} images"
        order = order[: min(wrong, n_images)]
    else:
        title = f"no mistake in {len(y_true)} images; the least confident ones"
        order = order[:n_images]
    display = PredictionDisplay.from_predictions(
        [X[i] for i in order],
        [y_pred[i] for i in order],
        y_true=[y_true[i] for i in order],
        confidence=[confidence[i] for i in order],
        max_images=None,
        title=title[0].upper() + title[1:],
    )
    return display.figure_


def sort_mistakes(y_true, y_pred, confidence):
    """Return the order, mistakes first and most confident, and their number.

    What is right follows, the least confident first.
    """
    right = np.array(
        [exact_match_score([t], [p]) == 1 for t, p in zip(y_true, y_pred, strict=True)]
    )
    confidence = np.asarray(confidence)
    order = np.lexsort((np.where(right, confidence, -confidence), right))
    return order.tolist(), int((~right).sum())


def _list_mistakes(X, y_true, y_pred, confidence, *, n_images=100):
    """Return (image, what was read, what it says, confidence) of the worst mistakes."""
    order, wrong = sort_mistakes(y_true, y_pred, confidence)
    return [
        # The images of a zip file have no path, but a name in it.
        (getattr(X[i], "name", X[i]), y_pred[i], y_true[i], f"{confidence[i]:.4f}")
        for i in order[: min(wrong, n_images)]
    ]


def save_figure(figure, path):
    """Write a figure to a file of the kind that its suffix says, and close it."""
    from matplotlib import pyplot

    kinds = figure.canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in kinds:
        raise ValueError(f"{str(path)!r} must end in one of .{', .'.join(kinds)}")
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:].lower(), dpi=150)
    write_atomically(path, buffer.getvalue())
    pyplot.close(figure)


def make_page(recognizer, X, y_true, y_pred, confidence, *, title):
    """Return a page that needs no other file: the report with its pictures."""
    from matplotlib import pyplot

    from skcaptcha.plotting import (
        CharacterConfusionDisplay,
        ConfidenceDisplay,
        TrainingCurveDisplay,
    )

    report = recognition_report(y_true, y_pred, output_dict=True)
    names = ("exact_match", "character_accuracy", "character_error_rate")
    totals = [(name.replace("_", " "), f"{report[name]:.4f}") for name in names]
    lengths = [
        (n, f"{row['exact_match']:.4f}", f"{row['character_accuracy']:.4f}")
        + (row["support"],)
        for n, row in report["per_length"].items()
    ]
    figures = {
        "Mistakes": draw_mistakes(X, y_true, y_pred, confidence),
        "Confidence": ConfidenceDisplay.from_predictions(
            y_true, y_pred, confidence
        ).figure_,
        "Confusions": CharacterConfusionDisplay.from_predictions(
            y_true, y_pred
        ).figure_,
    }
    listed = _list_mistakes(X, y_true, y_pred, confidence)
    if recognizer.loss_curve_:
        figures["Training"] = TrainingCurveDisplay.from_estimator(recognizer).figure_
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        _tabulate([("images", len(y_true)), *totals]),
        "<h2>By length of the text</h2>",
        _tabulate(
            lengths, header=("length", "exact match", "character accuracy", "images")
        ),
    ]
    for name, figure in figures.items():
        parts.append(f"<h2>{name}</h2>{_embed(figure, name)}")
        pyplot.close(figure)
        if name == "Mistakes" and listed:
            header = ("image", "read", "says", "confidence")
            parts.append(_tabulate(listed, header=header))
    parts.append(f"<h2>Model</h2><pre>{html.escape(describe(recognizer))}</pre>")
    parts.append(f"<p>skcaptcha {__version__}</p>")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        "<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def _embed(figure, name):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="{html.escape(name)}" src="data:image/png;base64,{data}">'


def _tabulate(rows, header=None):
    cells = "".join(f"<th>{html.escape(str(cell))}</th>" for cell in header or ())
    lines = [f"<tr>{cells}</tr>"] if header else []
    for row in rows:
        cells = "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row)
        lines.append(f"<tr>{cells}</tr>")
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _list_layers(recognizer):
    """Return (name, shape of the output, parameters) of each layer, in order."""
    rows, hooks = [], []
    network = recognizer.network_
    for name, module in network.named_modules():
        if any(module.children()):
            continue

        def note(module, inputs, output, name=name):
            if isinstance(output, tuple):
                output = output[0]
            n = sum(p.numel() for p in module.parameters())
            shape = list(output.shape)
            del shape[0 if len(shape) == 4 else 1]  # the batch, of one
            rows.append((name, "x".join(map(str, shape)), f"{n:,}"))

        hooks.append(module.register_forward_hook(note))
    height, channels = recognizer.image_height_, network.blocks[0].conv.in_channels
    size = (1, channels, height, 4 * height)
    device = next(network.parameters()).device
    try:
        with torch.inference_mode():
            network(torch.zeros(size, dtype=torch.uint8, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return [("an image of " + "x".join(map(str, size[1:])), "", ""), *rows]


def _align(rows):
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _name(character):
    return (
        character if character.isprintable() and character != " " else repr(character)
    )


def _indent(text):
    return "\n".join("  " + line for line in text.splitlines())
