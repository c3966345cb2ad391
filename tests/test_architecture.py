"""Imports point one way, and whatever is imported is declared."""

import ast
import re
import sys
import tomllib

import pytest
from support.data import ROOT

PACKAGE = ROOT / "skcaptcha"

# A module imports only from the layers above its own, never from a neighbor. A new
# module has to be given its place here first. A sub-package that is named as a whole
# counts as one module; of `images`, `model`, `training` and so on each module counts.
LAYERS = [
    {"_lazy", "_sklearn_compat", "_torch_compat", "_version", "exceptions"},
    {
        "_curves",
        "_device_errors",
        "_doc_links",
        "_exact_match",
        "_modes",
        "_files",
        "_labels",
        "_intervals",
        "_optional",
        "_power_law",
        "_threads",
        "_transfer",
        "_validation",
        "images._decode",
        "model.few_launches",
        "model.geometry",
    },
    {"_tables", "images._read", "model.alignment", "model.normalization"},
    {"images", "model", "training"},  # their public names
    {"metrics", "model.decoding", "model.network", "preprocessing", "vocabulary"},
    {"images._batches", "images._likeness", "images._prepare", "training.augmentation"},
    {"images._tensors"},
    {"images._samples", "model.device", "model.inference", "model.prepared"},
    {"_auto", "_parameters"},
    {"_frames"},
    {"_texts"},
    {
        "_callbacks",
        "_causes",
        "_label_curve",
        "_reader",
        "export._graph",
        "export._metadata",
        "export._precision",
        "export._content",
        "model.calibration",
        "model.pretrained",
        "persistence._skops_files",
        "persistence._state",
        "training.checkpoint",
        "training.ctc",
        "training.distributed",
        "training.losses",
        "training.optimizer",
        "training.progress",
        "training.schedule",
    },
    {
        "_starting_network",
        "_training_data",
        "export._network",
        "export._self_test",
        "training.step",
    },
    {"_base", "training.fit"},
    {"persistence._without_sklearn", "recognizer"},
    {"ensemble"},
    {"_pretrained"},
    {"_alphabet", "_joint_reader"},
    {"_pseudo_labels"},
    {"self_training"},
    {"__init__"},
    {"inspection"},
    {
        "datasets",
        "export._reader",
        "persistence._skops",
        "plotting",
    },
    {"export._onnx"},
    {"export", "persistence"},  # their public names
    {"labeling"},
    {"cli"},
    {"__main__"},
]

# What is called otherwise in an import than in an installation.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "sklearn": "scikit-learn",
}

# Optional or slow to load: imported inside the function that needs it.
NEVER_AT_THE_TOP = {
    "cv2",
    "dask",
    "filelock",
    "flask",
    "jinja2",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "waitress",
}

FILES = sorted(PACKAGE.rglob("*.py"))


def name_file(path):
    return path.relative_to(ROOT).as_posix()


def find_room(parts):
    """Name of the module or sub-package in LAYERS that a dotted name belongs to."""
    rooms = set().union(*LAYERS)
    for length in range(len(parts), 0, -1):
        if (room := ".".join(parts[:length])) in rooms:
            return room
    return parts[0] if parts else "__init__"


def name_room(path):
    """Name of the module or sub-package of skcaptcha that a file belongs to."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    if len(parts) > 1 and parts[-1] == "__init__":
        parts = parts[:-1]
    return find_room(parts)


def list_nodes(node, *, inside_functions):
    yield node
    functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    if inside_functions or not isinstance(node, functions):
        for child in ast.iter_child_nodes(node):
            yield from list_nodes(child, inside_functions=inside_functions)


def list_imports(source, *, inside_functions=True):
    """List of (line, dotted name) of all that a source imports."""
    found = []
    for node in list_nodes(ast.parse(source), inside_functions=inside_functions):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            found += [(node.lineno, f"{module}.{alias.name}") for alias in node.names]
    return found


def find_layer(room):
    for depth, rooms in enumerate(LAYERS):
        if room in rooms:
            return depth
    raise AssertionError(
        f"skcaptcha/{room} has no place in LAYERS of tests/test_architecture.py; "
        "decide which layer it belongs to"
    )


def find_wrong_imports(source, room, rooms):
    """Say what a module named `room`, one of `rooms`, must not import."""
    depth = find_layer(room)
    wrong = []
    for line, name in list_imports(source):
        if name.startswith("."):
            wrong.append(f"line {line}: write {name!r} as an absolute import")
            continue
        top, _, rest = name.partition(".")
        if top != "skcaptcha":
            continue
        target = find_room(rest.split("."))
        if target not in rooms:
            target = "__init__"  # a name that skcaptcha itself offers
        if target != room and find_layer(target) >= depth:
            wrong.append(f"line {line}: {room} must not import {target}")
    return wrong


def list_external(source, **options):
    """Set of the distributions that a source imports from."""
    tops = {name.split(".")[0] for _, name in list_imports(source, **options)}
    tops -= {"skcaptcha", ""} | sys.stdlib_module_names
    return {DISTRIBUTIONS.get(top, top) for top in tops}


def read_requirements():
    """Names in `dependencies`, and in the extras that the package may import."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    def names(requirements):
        return {re.match(r"[\w.-]+", text)[0].lower() for text in requirements}

    extras = {k: names(v) for k, v in project["optional-dependencies"].items()}
    return names(project["dependencies"]), extras


def test_every_module_has_its_layer():
    rooms = [room for layer in LAYERS for room in layer]
    assert len(rooms) == len(set(rooms))
    for path in FILES:
        find_layer(name_room(path))
    with pytest.raises(AssertionError, match="skcaptcha/utils has no place in LAYERS"):
        find_layer("utils")


@pytest.mark.parametrize("path", FILES, ids=name_file)
def test_imports_point_one_way(path):
    rooms = {name_room(path) for path in FILES}
    assert find_wrong_imports(path.read_text("utf-8"), name_room(path), rooms) == []


@pytest.mark.parametrize(
    "room, source, wrong",
    [
        ("metrics", "from skcaptcha.exceptions import ImageReadError", None),
        ("metrics", "from skcaptcha.images import read_image", None),
        (
            "metrics",
            "from skcaptcha.model.decoding import best_path",
            "import model",
        ),
        ("metrics", "import skcaptcha.model.decoding", "import model"),
        ("metrics", "from skcaptcha.model import decoding", "import model"),
        ("metrics", "from skcaptcha import __version__", "import __init__"),
        ("metrics", "def f():\n    import skcaptcha.model.decoding", "import model"),
        ("metrics", "from .exceptions import ImageReadError", "absolute import"),
        ("_validation", "import skcaptcha.metrics", "import metrics"),
        ("recognizer", "import skcaptcha.metrics", None),
        ("recognizer", "import skcaptcha.datasets", "import datasets"),
        ("__init__", "import skcaptcha.recognizer", None),
        ("__init__", "import skcaptcha.datasets", "import datasets"),
        ("datasets", "from skcaptcha.datasets._fetch import x", None),
        ("datasets", "import skcaptcha.plotting", "import plotting"),
        ("cli", "import skcaptcha.datasets, skcaptcha.plotting", None),
    ],
)
def test_the_rule_tells_right_from_wrong(room, source, wrong):
    rooms = {room for layer in LAYERS for room in layer}
    found = find_wrong_imports(source, room, rooms)
    assert len(found) == (wrong is not None)
    assert wrong is None or wrong in found[0]


def test_what_the_package_imports_is_what_it_requires():
    required, extras = read_requirements()
    sources = [path.read_text("utf-8") for path in FILES]
    at_the_top = set().union(
        *(list_external(source, inside_functions=False) for source in sources)
    )
    assert at_the_top <= required
    anywhere = set().union(*(list_external(source) for source in sources))
    optional = set().union(
        *(names for extra, names in extras.items() if extra not in {"test", "docs"})
    )
    assert anywhere <= required | optional
    assert required <= anywhere, "nothing is installed that is never imported"


@pytest.mark.parametrize("path", FILES, ids=name_file)
def test_optional_packages_are_not_imported_at_the_top(path):
    source = path.read_text("utf-8")
    tops = {n.split(".")[0] for _, n in list_imports(source, inside_functions=False)}
    assert not tops & NEVER_AT_THE_TOP


def test_every_requirement_is_pinned():
    required, extras = read_requirements()
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = {line.split("==")[0].lower() for line in lines if "==" in line}
    assert required.union(*extras.values()) <= pinned


# `model` and `training` are for contributors, but for what is of use by itself.
DOCUMENTED = {"model.decoding", "model.network", "training.augmentation"}


def list_public(path):
    """Dotted names in `__all__` of a public module, `__version__` and such apart."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    if any(part.startswith("_") for part in parts):
        return set()
    internal = parts[1:2] in (("model",), ("training",))
    if internal and ".".join(parts[1:]) not in DOCUMENTED:
        return set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names = ast.literal_eval(node.value)
            return {".".join([*parts, n]) for n in names if not n.startswith("_")}
    raise AssertionError(f"{name_file(path)} is public and has no __all__")


def test_the_reference_lists_every_public_name_once():
    listed, module = [], None
    for page in (ROOT / "docs" / "reference").glob("*.rst"):
        for line in page.read_text("utf-8").splitlines():
            if line.startswith(".. currentmodule:: "):
                module = line.split()[-1]
            elif match := re.fullmatch(r"(?: {3}|\.\. py:data:: )(\w+)", line):
                listed.append(f"{module}.{match[1]}")
    public = set().union(*(list_public(path) for path in FILES))
    # The estimators are listed where users import them from.
    public -= {
        "skcaptcha.recognizer.CaptchaRecognizer",
        "skcaptcha.ensemble.CaptchaEnsemble",
        "skcaptcha.self_training.SelfTrainingRecognizer",
    }
    assert sorted(listed) == sorted(public)
