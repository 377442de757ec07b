"""Sphinx configuration."""

from sklearn_bert import __version__

project = "sklearn-bert"
author = "The sklearn-bert developers"
copyright = "2026, the sklearn-bert developers"
release = __version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "myst_parser"]
html_theme = "pydata_sphinx_theme"
html_title = "sklearn-bert"
exclude_patterns = ["_build"]
numpydoc_show_class_members = False
autodoc_typehints = "none"
myst_heading_anchors = 3
