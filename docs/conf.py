"""How Sphinx builds this site: `nox -s docs`, or `sphinx-build -n -W --keep-going -j 2 docs site`.

Pages with `file_format: mystnb` and the notebooks are executed while the site is built; what they show is
what the code does. No server but this machine's own is asked, and the pages load nothing from other hosts.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

import llmkit  # noqa: E402 - after the path, as Sphinx reads it
from llmkit.core import catalog  # noqa: E402

# The notebooks belong to the repository; Sphinx reads pages only below this folder.
shutil.rmtree(HERE / "notebooks", ignore_errors=True)
shutil.copytree(HERE.parent / "notebooks", HERE / "notebooks")

# Kernels inherit this: the sandbox answers, nothing is kept, and the reader of the site has no such key.
for provider in catalog.providers().values():
    for variable in (*provider.key_env, *provider.base_url_env):
        os.environ.pop(variable, None)
_home = tempfile.TemporaryDirectory(prefix="llmkit-docs-")  # goes when the build ends
os.environ |= {
    "LLMKIT_LEDGER": ":memory:",
    "LLMKIT_SANDBOX": "1",
    "LLMKIT_SANDBOX_RATE": "0",
    "LLMKIT_SANDBOX_FIRST_TOKEN": "0",
    "XDG_CONFIG_HOME": _home.name,
    "XDG_DATA_HOME": _home.name,
    "XDG_CACHE_HOME": _home.name,
}

project = "llmkit"
author = "the llmkit authors"
version = release = llmkit.__version__
language = "en"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "alternatives",
    "anchors",
    "docstrings",
    "generated_tables",
    "streams",
]
exclude_patterns = ["_extensions", "notebooks/*.py", "notebooks/dashboard.ipynb"]  # it has no calls
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
default_role = "code"
suppress_warnings = ["mystnb.unknown_mime_type"]  # the reply's own data, which is for programs

# Pages
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
myst_dmath_double_inline = False

# Execution
nb_execution_mode = "force"
nb_execution_timeout = 120
nb_execution_in_temp = True  # what a page writes is not left among the pages
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
nb_ipywidgets_js = {}  # they would come from other hosts; a saved widget has a form without them
nb_mime_priority_overrides = [
    ("html", "application/vnd.jupyter.widget-view+json", None),
    ("html", "application/vnd.llmkit.v1+json", None),
]

# The reference
autodoc_default_options = {"members": True, "member-order": "bysource", "inherited-members": "Exception"}
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
nitpick_ignore_regex = [  # types in signatures that have no page here: other packages, and inner modules
    ("py:(class|data|exc|obj)", r"(?!llmkit\.).*"),
    ("py:(class|data|exc|obj)", r"llmkit\..*\..*"),
]

# Appearance: furo needs no font, script or style of another host, and has a dark side.
html_theme = "furo"
html_title = "llmkit"
html_static_path = ["_static"]
html_show_sphinx = False
html_show_copyright = False
html_css_files = ["site.css"]
html_js_files = ["accessible.js"]
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
pygments_style = "a11y-high-contrast-light"  # every word has the contrast that WCAG asks for
pygments_dark_style = "a11y-high-contrast-dark"
