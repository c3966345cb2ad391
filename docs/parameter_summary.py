"""Summaries at the head of the reference's pages, and pictures of what draws.

What has many parameters shows them by group, as ``parameter_groups.py`` has them: in a
table, with those that matter first and the methods, that fits a screen, and then in the
descriptions below it. The example of a display is followed by what it draws.
"""

import doctest
import inspect
import io
import re
from contextlib import redirect_stdout
from functools import cache
from importlib import import_module
from pathlib import Path

from docutils import nodes
from parameter_groups import FIRST, GROUPS

N_METHODS = 3  # from so many on they are listed in the summary
# Classes whose members are listed in that order.
READERS = (
    "skcaptcha.CaptchaRecognizer",
    "skcaptcha.SelfTrainingRecognizer",
    "skcaptcha.CaptchaEnsemble",
    "skcaptcha.export.OnnxRecognizer",
)
# The methods that come first, of what has them.
FIRST_METHODS = (
    "fit",
    "partial_fit",
    "predict",
    "predict_confidence",
    "predict_topk",
    "predict_characters",
    "score",
)


def list_methods(cls):
    """Return the names of the public methods of a class, the usual ones first."""
    names = []
    for base in cls.__mro__:
        if base.__module__.startswith("skcaptcha"):
            for name, value in vars(base).items():
                is_method = inspect.isfunction(value) or isinstance(value, classmethod)
                if is_method and not name.startswith("_") and name not in names:
                    names.append(name)
    return sorted(names, key=lambda name: (*FIRST_METHODS, name).index(name))


def list_members(full_name):
    """Return ("method" or "property", name) of a class's members, in their order.

    The template of classes lists them so, as autodoc sorts inherited ones by name.
    """
    module, _, name = full_name.rpartition(".")
    cls = getattr(import_module(module), name)
    properties = [
        name
        for base in cls.__mro__
        for name, value in vars(base).items()
        if base.__module__.startswith("skcaptcha")
        and isinstance(value, property)
        and not name.startswith("_")
    ]
    methods = [("method", name) for name in list_methods(cls)]
    return methods + [("property", name) for name in dict.fromkeys(properties)]


def make_link(name, full_name, obj):
    """Return a link to a parameter, with its default."""
    link = f":parameter:`{full_name}:{name}`"
    default = inspect.signature(obj).parameters[name].default
    if default is inspect.Parameter.empty:
        return link
    return rf"{link}\ :default:`={default!r}`"


def make_table(full_name, obj):
    """Return the lines of the summary; none for what has few parameters."""
    groups, rows = GROUPS.get(full_name, {}), []
    for group, names in groups.items():
        links = [make_link(name, full_name, obj) for name in names]
        if group == FIRST:
            pairs = zip(links, names.values(), strict=True)
            rows.append(("Start with", [f"| {link}: {why}" for link, why in pairs]))
        else:
            rows.append((group.capitalize(), [" · ".join(links)]))
    methods = list_methods(obj) if inspect.isclass(obj) else []
    if len(methods) >= N_METHODS:
        links = [f":meth:`{name} <{full_name}.{name}>`" for name in methods]
        rows.append(("Methods", [" · ".join(links)]))
    if not rows:
        return []
    lines = [".. list-table::", "   :class: summary", "   :widths: 12 88", ""]
    for head, cell in rows:
        lines += [f"   * - {head}", f"     - {cell[0]}"]
        lines += [f"       {line}" for line in cell[1:]]
    return ["", *lines, ""]


def split_groups(full_name, lines):
    """Begin a field for each group in the list of parameters, and mark each name."""
    begins = {
        names[0]: group
        for group, names in GROUPS.get(full_name, {}).items()
        if group != FIRST
    }
    if not begins:
        return lines
    order = [
        name
        for group, names in GROUPS[full_name].items()
        if group != FIRST
        for name in names
    ]
    start = lines.index(":Parameters:")
    end = next(
        (i for i in range(start + 1, len(lines)) if re.match(r"\S", lines[i])),
        len(lines),
    )
    entries, shared = {}, None
    for line in lines[start + 1 : end]:
        if match := re.match(r" {4}\*\*(.+?)\*\*(.*)", line):
            shared = match[1]
            head = f"    :parameter-target:`{full_name}:{shared}`{match[2]}"
            entries[shared] = [head]
        elif shared:
            entries[shared].append(line)
    found = []
    for name in order:
        if name in begins:
            found += [f":{begins[name].capitalize()} parameters:", ""]
        found += entries[name]
    return lines[:start] + found + lines[end:]


@cache
def draw(full_name, obj, folder):
    """Run the example of a display and return the lines that show what it draws."""
    source = doctest.script_from_examples(
        re.sub(r".*\+SKIP\n?", "", inspect.getdoc(obj).partition("Examples\n---")[2])
    )
    names = {}
    with redirect_stdout(io.StringIO()):
        exec(source, names)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{full_name}.png"
    names["display"].figure_.savefig(path, dpi=110, bbox_inches="tight")
    text = f"What the example of {full_name} draws"
    return ["", f".. image:: displays/{path.name}", f"   :alt: {text}"]


def add_summary(app, what, name, obj, options, lines):
    """Add to a docstring what helps to find one's way in it."""
    if what not in ("class", "function"):
        return
    lines[:] = split_groups(name, lines)
    table = make_table(name, obj)
    if table:
        text = next(i for i, line in enumerate(lines) if line)
        lines[text + 1 : text + 1] = table  # after the first sentence
    if name.startswith("skcaptcha.plotting."):
        lines += draw(name, obj, Path(app.srcdir) / "generated" / "displays")


def list_first(name, obj):
    """Return the parameters of a short signature: by position, and those to start with.

    What can be passed by position stands in its place, and a star before the rest.
    """
    shown = []
    for parameter in inspect.signature(obj).parameters.values():
        by_name = parameter.kind is inspect.Parameter.KEYWORD_ONLY
        if by_name and "*" not in shown:
            shown.append("*")
        if not by_name or parameter.name in GROUPS[name][FIRST]:
            shown.append(str(parameter))
    return shown


def shorten_signature(app, what, name, obj, options, signature, returns):
    """Leave the parameters that are in the table out of a long signature."""
    if FIRST in GROUPS.get(name, {}):
        return f"({', '.join(list_first(name, obj))}, ...)", returns


def link_parameter(role, rawtext, text, lineno, inliner, options=None, content=None):
    """Link to the description of a parameter on the same page."""
    name = nodes.literal(text=text.partition(":")[2])
    target = text.replace(":", "-")
    return [nodes.reference("", "", name, internal=True, refid=target)], []


def mark_parameter(role, rawtext, text, lineno, inliner, options=None, content=None):
    """Make the name of a parameter something to link to."""
    name = text.partition(":")[2]
    return [nodes.strong(rawtext, name, ids=[text.replace(":", "-")])], []


def show_default(role, rawtext, text, lineno, inliner, options=None, content=None):
    """Write a default beside its parameter."""
    return [nodes.inline(rawtext, text, classes=["default"])], []


def setup(app):
    """Register what autodoc calls, and the roles that it then meets."""
    app.add_role("parameter", link_parameter)
    app.add_role("parameter-target", mark_parameter)
    app.add_role("default", show_default)
    # After and before numpydoc, which has 500.
    app.connect("autodoc-process-docstring", add_summary, priority=600)
    app.connect("autodoc-process-signature", shorten_signature, priority=400)
    return {"parallel_read_safe": True}
