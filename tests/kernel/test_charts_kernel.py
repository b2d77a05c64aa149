"""A chart at the end of a cell, in a real kernel."""

from __future__ import annotations

import pytest

from tests.support.kernels import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.full]

MONTH = "from llmkit.costs import demo\nmonth = demo.month(':memory:')"


def test_a_chart_is_shown_once_with_a_text_for_readers_who_do_not_see_it(tmp_path):
    kernel = Kernel(tmp_path)
    try:
        kernel.run(MONTH)
        (output,) = kernel.run("month.plot('model')").outputs
        again = kernel.run("import pickle\npickle.loads(pickle.dumps(month.plot('saved').figure));")
    finally:
        kernel.close()
    assert "image/png" in output["data"]
    said = output["metadata"]["image/png"]["alt"]
    assert said.startswith("claude-opus-5-5 took 54 % of $26.34. Spent per day, by model; ")
    assert again.outputs[-1]["metadata"]["image/png"]["alt"].startswith("Replay saved 20 % of $33.05. ")
