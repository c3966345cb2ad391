"""Names of a package that are imported when they are first used."""

import importlib


def attach(package, modules, submodules=()):
    """Return `__getattr__` and `__dir__` of a package that imports nothing by itself.

    It does what ``lazy_loader.attach`` does, without being one more package that a
    reader of ONNX files has to have.

    Parameters
    ----------
    package : str
        The package's ``__name__``.
    modules : dict of str to list of str
        For each module of the package the names that it offers as its own.
    submodules : iterable of str
        Modules that are names of the package themselves.

    References
    ----------
    PEP 562, "Module __getattr__ and __dir__".
    """
    origins = {name: module for module, names in modules.items() for name in names}
    names = sorted({*origins, *submodules})

    def find(name):
        if name in origins:
            module = import_part(f"{package}.{origins[name]}", f"{package}.{name}")
            return getattr(module, name)
        if name in submodules:
            return import_part(f"{package}.{name}", f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find, lambda: list(names)


def import_part(module, needed_by):
    """Import a module of skcaptcha; say what to do where a package is missing.

    One is where skcaptcha was installed without what it requires, to read ONNX files.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "skcaptcha"):
            raise
        raise ModuleNotFoundError(
            f"{needed_by} needs {missing}, which is not installed; install skcaptcha "
            "with all that it requires: pip install skcaptcha",
            name=error.name,
        ) from error
