"""Settings of the documentation, built by ``make docs``. Nothing needs the network."""

import sys
from pathlib import Path
from urllib.request import urlopen

import skcaptcha

sys.path.insert(0, str(Path(__file__).parent))

from parameter_summary import READERS, list_members  # noqa: E402

project = "skcaptcha"
author = "skcaptcha developers"
copyright = author
version = release = skcaptcha.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "numpydoc",
    "myst_parser",  # reads the changelog and the contributing page, in Markdown
    "sphinx_gallery.gen_gallery",
    "sphinx_design",  # cards
    "sphinx_copybutton",
    "command_line_directive",  # a page of the command line, out of its parser
    "drawn_role",  # pictures of what make_captchas draws
    "parameter_summary",  # the parameters of large classes by group
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
autodoc_typehints = "none"  # the docstrings say it
smartquotes = False  # they would turn the quotes of str defaults
maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
autosummary_generate = True
# For the template of classes.
autosummary_context = {"ordered": {name: list_members(name) for name in READERS}}
# The template of classes lists the members; numpydoc would list them once more.
numpydoc_show_class_members = False

# Prompts and output are not copied with the code.
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

# Others' documentation, to link to where it can be reached.
intersphinx_mapping = {
    "python": ("https://docs.python.org/3", None),
    "numpy": ("https://numpy.org/doc/stable", None),
    "sklearn": ("https://scikit-learn.org/stable", None),
    "torch": ("https://docs.pytorch.org/docs/stable", None),
    "matplotlib": ("https://matplotlib.org/stable", None),
}

sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "filename_pattern": "/plot_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "capture_repr": ("_repr_html_", "__repr__"),
    "ignore_repr_types": r"skcaptcha\.plotting|matplotlib",
    "doc_module": ("skcaptcha",),
    "backreferences_dir": "generated/backreferences",
    "reference_url": {"skcaptcha": None},
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "min_reported_time": 3600,  # of the machine that built the page
}

html_theme = "pydata_sphinx_theme"
html_title = f"skcaptcha {release}"
html_static_path = ["_static"]
html_css_files = ["skcaptcha.css"]
html_favicon = "_static/logo.svg"
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {
    page: [] for page in ("index", "benchmarks", "changelog", "contributing")
}
html_theme_options = {
    "logo": {
        "text": f"skcaptcha {release}",
        "image_light": "_static/logo.svg",
        "image_dark": "_static/logo-dark.svg",
        "alt_text": "skcaptcha, front page",
    },
    "navbar_end": ["theme-switcher", "navbar-icon-links"],
    "icon_links": [
        {
            "name": "Source code and issues",
            "url": "https://github.com/skcaptcha/skcaptcha",
            "icon": "fa-brands fa-github",
        }
    ],
    "footer_start": ["copyright", "project-links"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
    "collapse_navigation": True,  # the branch of the page alone is open
}


def skip_member(app, kind, name, obj, skip, options):
    """Leave out what scikit-learn adds alike to any class, and what needs tables."""
    routing = name.startswith("set_") and name.endswith("_request")
    return routing or name in ("get_metadata_routing", "set_output") or None


def keep_reachable(app, config):
    """Leave out of intersphinx what doesn't answer, as all does without a network."""
    for name, (address, _) in list(config.intersphinx_mapping.items()):
        try:
            urlopen(f"{address}/objects.inv", timeout=3).close()
        except OSError:
            del config.intersphinx_mapping[name]


def setup(app):
    app.connect("config-inited", keep_reachable)  # intersphinx looks at it later
    app.connect("autodoc-skip-member", skip_member)
