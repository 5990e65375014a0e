"""Sphinx configuration: `sphinx-build -W docs build/docs` builds the site."""

import os
import re

os.environ["NUMBA_DISABLE_JIT"] = "1"  # compiled functions stay Python functions, so that Sphinx can show signature and source

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

import numbanet

project = "numbanet"
version = release = numbanet.__version__
author, copyright = "the authors of numbanet", "MIT licence"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["golden", "penguins"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

default_role = "py:obj"  # `name` in a docstring becomes a link if an object has that name, else code
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings say more than the annotations
napoleon_google_docstring = False
napoleon_use_rtype = False

smartquotes = False  # quotes stay as typed, so that code can be copied
maximum_signature_line_length = 100

html_theme = "furo"
html_title = f"numbanet {version}"
html_copy_source = False


def write_mathml(writer, node):
    """Writes a formula as MathML, which browsers render without a script or a download."""
    formula = re.sub(r"\\Big(?![a-z])", r"\\Bigl", node.astext())  # docutils supports only \Bigl
    writer.body.append(tex2mathml(formula, as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def escape_formulas(app, what, name, value, options, lines):
    """Escapes |g|, a norm, and val_, a prefix, in docstrings: reStructuredText would read both as markup."""
    lines[:] = [re.sub(r"\||(?<=\w)_(?!\w)", r"\\\g<0>", line) for line in lines]


def leave_out_kernels(app, what, name, value, skip, options):
    """Skips CUDA twins: each stands beside its loop, whose docstring names it, and the source page shows both."""
    return skip or name.endswith("_cuda")


def setup(app):
    app.add_html_math_renderer("mathml", (write_mathml, None), (write_mathml, None))
    app.connect("autodoc-process-docstring", escape_formulas)
    app.connect("autodoc-skip-member", leave_out_kernels)


html_math_renderer = "mathml"
