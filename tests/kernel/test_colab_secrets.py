"""A key from Colab's secrets in a real kernel: an interrupt ends the dialog, and the next call asks again."""

import pytest

from tests.support.kernels import Kernel
from tests.support.waiting import until

pytestmark = [pytest.mark.kernel, pytest.mark.full]

COLAB = {
    "google/__init__.py": "",
    "google/colab/__init__.py": "",
    "google/colab/userdata.py": """
import pathlib, threading, time
hangs, running = True, []

def get(name):
    running.append(name)
    pathlib.Path("asked").touch()
    try:
        while hangs:
            try:
                time.sleep(0.025)
            except Exception:
                pass
        return "sk-proj-Colab0123456789abcdef"
    finally:
        running.pop()
""",
}


@pytest.fixture
def kernel(tmp_path, server):
    for name, code in COLAB.items():
        path = tmp_path / "runtime" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    kernel = Kernel(tmp_path, OPENAI_BASE_URL=server.url("openai"))
    kernel.run(
        "import sys\nsys.path.insert(0, 'runtime')\nsys.modules.pop('google', None)\n"
        "import google.colab.userdata as secrets\n%load_ext llmkit"
    )
    yield kernel
    kernel.close()


CELLS = {
    "magic": "%%llm -m openai:sandbox\nHello",
    "await": "import llmkit\nreply = await llmkit.client('openai:sandbox').generate_text('Hello')",
}


@pytest.mark.parametrize("way", CELLS)
def test_an_interrupt_ends_the_dialog_and_the_next_call_asks_again(kernel, server, tmp_path, way):
    kernel.run("import llmkit, llmkit.notebook.dispatch; _ = llmkit.client('openai:sandbox')")

    def stop(kernel, result):
        if len(result.messages) == 2:  # busy, and the input
            until((tmp_path / "asked").exists)
            kernel.interrupt()

    interrupted = kernel.run(CELLS[way], during=stop)
    assert interrupted.status == "error"
    assert kernel.run("import time\nwhile secrets.running: time.sleep(0.05)").status == "ok"
    assert not server.requests
    kernel.run("secrets.hangs = False")
    again = kernel.run(CELLS[way])
    assert again.status == "ok"
    assert "Colab0123456789" not in str(again.outputs)
    assert "Bearer sk-proj-Colab0123456789abcdef" in str(server.requests[-1].headers)
