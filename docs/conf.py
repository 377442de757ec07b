"""Sphinx configuration: no page needs a network to be built."""

from sklearn_bert import __version__

project = "sklearn-bert"
author = "The sklearn-bert developers"
copyright = "2026, the sklearn-bert developers"
release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "gallery/**.ipynb", "gallery/**.py"]
templates_path = ["_templates"]

numpydoc_show_class_members = False
autodoc_typehints = "none"
# What docstrings have in single backticks are names of parameters and the like.
default_role = "literal"
autosummary_generate = True
toc_object_entries_show_parents = "hide"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

nitpicky = True
# Other projects' objects: their inventories are on the network.
nitpick_ignore_regex = [("py:.*", r"(sklearn|skorch)\..*")]

sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sklearn_bert",),
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "write_computation_times": False,
    "show_signature": False,
    "min_reported_time": 1,
}

html_theme = "pydata_sphinx_theme"
html_title = "sklearn-bert"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_theme_options = {
    "header_links_before_dropdown": 7,
    "show_toc_level": 2,
    "navigation_depth": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": [], "start": [], "glossary": [], "coming_from": []}
