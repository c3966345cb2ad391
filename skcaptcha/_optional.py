"""Packages that one part of skcaptcha needs, imported when that part is used."""

import importlib

_PACKAGES = {"cv2": "OpenCV"}  # where the module has another name than its package


def import_optional(module, extra, needed_by):
    """Import a module, or raise an ImportError that names the extra for it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        name = module.partition(".")[0]
        package = _PACKAGES.get(name, name)
        raise ImportError(
            f"{needed_by} needs {package}, which is not installed: "
            f'pip install "skcaptcha[{extra}]"'
        ) from error
