"""The web site of the chapters: python chapters/build.py --site. It is built without Node.js and without a network."""

import inspect
import re
import sys
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util import logging

sys.path.insert(0, str(Path(__file__).parent))
import api

project, author, copyright = "minivdit", "The minivdit authors", "The minivdit authors"
extensions = ["myst_nb", "sphinx.ext.autodoc"]
root_doc = "README"
exclude_patterns = ["_build", "source", "solutions/source", "**/.ipynb_checkpoints"]
html_theme, html_title = "furo", "minivdit"
smartquotes = False  # a' is a derivative
add_module_names = False
highlight_language = "none"  # what is laid out by hand in docstrings is rarely Python

# A link that leads nowhere is a warning, and warnings are errors (build.py). Headings can be linked to, as on GitHub.
nitpicky = True
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # the glossary and the references go from a title right to small headings
myst_enable_extensions = ["dollarmath"]
nb_execution_mode = "off"  # notebooks bring their outputs along
nb_merge_streams = True

autodoc_default_options = {"members": True, "member-order": "bysource", "ignore-module-all": True}
autodoc_inherit_docstrings = False
autodoc_typehints = "none"
autodoc_preserve_defaults = True

# Formulas are written as MathML, which browsers show by themselves: no script has to be fetched for them.
html_math_renderer = "mathml"

CONTENTS = """

```{toctree}
:hidden:
:glob:
:caption: Chapters
[0-9]*
```

```{toctree}
:hidden:
:caption: Look up
glossary
paper_to_code
references
teaching
```

```{toctree}
:hidden:
:glob:
:caption: Solutions
solutions/[0-9]*
```

```{toctree}
:hidden:
:glob:
:caption: The library
api/*
```
"""


def add_contents(app, name, text):
    """The table of contents, which GitHub, where the map is read as well, wouldn't understand."""
    if name == root_doc:
        text[0] += CONTENTS


def mark_up(app, what, name, thing, options, lines):
    """Docstrings as reStructuredText."""
    module = inspect.getmodule(thing)
    scopes = [thing, module, sys.modules.get(getattr(module, "__package__", None))]
    lines[:] = api.markup("\n".join(lines), thing, scopes).split("\n")


def spelled(formula):
    """A formula without what latex2mathml doesn't know: sizes of bars, which MathML sizes itself, and the name arg."""
    formula = re.sub(r"\\[Bb]igg?[lr]?(?=[\\|])", "", formula)
    return re.sub(r"\\arg(?![a-z])", r"\\mathrm{arg}", formula)


def formula(display):
    """What writes a formula into a page; display: 'inline' or 'block'."""

    def visit(translator, node):
        markup = convert(spelled(node.astext()), display=display)
        if "\\" in markup:
            logging.getLogger(__name__).warning("unknown command in the formula %s", node.astext(), location=node)
        translator.body.append(markup)
        raise nodes.SkipNode

    return visit, None


def setup(app):
    api.write(app.srcdir / "api")
    app.connect("source-read", add_contents)
    app.connect("autodoc-process-docstring", mark_up)
    app.add_html_math_renderer("mathml", formula("inline"), formula("block"))
