"""Configuration of the documentation; `make docs` builds it."""

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

from shared_members import BasesApart  # noqa: E402

_project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "pathgraph"
author = "The pathgraph authors"
project_copyright = f"2026, {author}"
version = release = _project["version"]

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "idea_picture",
    "mathml",
    "theorem_pages",
]
exclude_patterns = ["_build", "**/.ipynb_checkpoints"]
templates_path = ["_templates"]
default_role = "code"

# --- pages and notebooks -------------------------------------------------------------------------
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True

# --- API reference -------------------------------------------------------------------------------
autosummary_generate = True
autosummary_context = {"bases_apart": BasesApart()}
autosummary_ignore_module_all = False
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc sections give types and shapes
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# --- HTML: everything is served from the site itself ---------------------------------------------
html_theme = "pydata_sphinx_theme"
html_title = f"pathgraph {version}"
html_static_path = ["_static"]
html_css_files = ["pathgraph.css"]
html_js_files = [("scrolling.js", {"defer": "defer"})]
html_favicon = "_static/favicon.svg"
html_math_renderer = "mathml"
html_show_sourcelink = False
html_copy_source = False
html_sidebars = {
    page: []
    for page in ("index", "quickstart", "install", "live", "faq", "compare", "notebooks/*", "symbols", "changelog")
}
html_theme_options = {
    "logo": {"text": "pathgraph"},
    "show_prev_next": True,
    "header_links_before_dropdown": 7,
    "navbar_align": "left",
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
