"""Where the documentation of an estimator stands, for its HTML representation."""

from itertools import takewhile

__all__ = ["DOCUMENTATION", "DocLinkMixin"]

DOCUMENTATION = "https://skcaptcha.readthedocs.io/en/stable"
"""Address of the documentation; `Documentation` in pyproject.toml is the same."""

# Modules whose classes users import from skcaptcha itself.
_OF_THE_TOP = {"ensemble", "recognizer", "self_training"}


class DocLinkMixin:
    """Links the representation of an estimator in a notebook to its page.

    scikit-learn looks for these attributes; classes of other packages get no link.
    """

    _doc_link_module = "skcaptcha"
    _doc_link_template = f"{DOCUMENTATION}/generated/{{page}}.html"

    def _doc_link_url_param_generator(self):
        """Return what the template needs: the name that the class is imported by."""
        parts = type(self).__module__.split(".")
        public = takewhile(
            lambda part: not part.startswith("_") and part not in _OF_THE_TOP, parts
        )
        return {"page": ".".join([*public, type(self).__name__])}
