"""`%load_ext llmkit` gives frames their verbs, and loads neither pandas nor polars for it."""

import subprocess
import sys

import pytest

CODE = """
import sys
from IPython.core.interactiveshell import InteractiveShell
InteractiveShell.instance().run_line_magic("load_ext", "llmkit")
assert not {"pandas", "polars", "narwhals"} & sys.modules.keys()
import pandas, polars
for frame in (pandas.DataFrame({"a": ["x"]}), polars.DataFrame({"a": ["x"]})):
    print(frame.llm.map("echo: {{a}}", model="sandbox", progress=False)["llm"].to_list())
"""


@pytest.mark.full
def test_frames_have_the_verbs_after_load_ext_in_whatever_order_things_are_loaded():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["['x']", "['x']"], done.stderr
