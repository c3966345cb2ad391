"""Settings of the documentation, built by ``make docs``. Nothing needs the network."""

import skcaptcha

project = "skcaptcha"
author = "skcaptcha developers"
copyright = author
version = release = skcaptcha.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",  # reads the changelog, which is Markdown
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
smartquotes = False  # they would turn the quotes of str defaults
maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
autosummary_generate = True
# The template of classes lists the members; numpydoc would list them once more.
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = f"skcaptcha {release}"
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {
    page: [] for page in ("index", "changelog", "deployment", "with_scikit_learn")
}
html_theme_options = {
    "logo": {"text": "skcaptcha"},
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
}


def skip_member(app, kind, name, obj, skip, options):
    """Leave out what scikit-learn adds alike to any class, and what needs tables."""
    routing = name.startswith("set_") and name.endswith("_request")
    return routing or name in ("get_metadata_routing", "set_output") or None


def setup(app):
    app.connect("autodoc-skip-member", skip_member)
