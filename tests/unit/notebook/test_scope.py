"""Names that a question takes from the function in which it stands."""

from __future__ import annotations

import sys

import pytest

from llmkit import sandbox
from tests.support.shells import opened, prompts

ASK = "%llm -q repeat exactly: {{city}}"
CALL = "get_ipython().run_line_magic('llm', '-q repeat exactly: {{city}}')"


@pytest.fixture(scope="module")
def session():
    with opened() as shell:
        yield shell


@pytest.fixture
def shell(session):
    sandbox.server().requests.clear()
    session.do("%reset -f -s")
    session.do("city, topic = 'Oslo', 'weather'")
    return session


FUNCTIONS = {
    "a parameter": f"def ask(city):\n    answer = {ASK}\n    return answer\nask('Lima')",
    "a local": f"def ask():\n    city = 'Lima'\n    answer = {ASK}\n    return answer\nask()",
    "a coroutine": f"async def ask(city):\n    answer = {ASK}\n    return answer\nawait ask('Lima')",
    "a generator": f"def ask(city):\n    yield {CALL}\nnext(ask('Lima'))",
    "a comprehension": f"[{CALL} for city in ['Lima']][0]",
    "a comprehension in a function": f"def ask(city):\n    return [{CALL} for _ in '1'][0]\nask('Lima')",
    "a generator expression": f"def ask(city):\n    return next({CALL} for _ in '1')\nask('Lima')",
    "a lambda": f"(lambda city: {CALL})('Lima')",
    "a method": f"class A:\n    def ask(self, city):\n        return {CALL}\nA().ask('Lima')",
    "a class body": f"class A:\n    city = 'Lima'\n    answer = {ASK}\nA.answer",
    "a class body in a function": f"def ask(city):\n    class A:\n        answer = {ASK}\n"
    f"    return A.answer\nask('Lima')",
    "a closure that uses it": f"def f(city):\n    def g():\n        city\n        return {CALL}\n"
    f"    return g\nf('Lima')()",
    "a cell magic": "def ask(city):\n    return get_ipython().run_cell_magic('llm', '-q', "
    "'repeat exactly: {{city}}')\nask('Lima')",
    "a recursion": f"def ask(city, n=1):\n    return ask(city + 'a', 0) if n else {CALL}\nask('Lim')",
    "a timed line": f"def ask(city):\n    %time _ = {CALL}\nask('Lima')\n'Lima'",
}


@pytest.mark.parametrize("cell", FUNCTIONS.values(), ids=FUNCTIONS)
def test_the_functions_own_name_wins_over_a_global(shell, cell):
    ran = shell.do(cell)
    assert prompts() == ["repeat exactly: Lima"]
    assert str(ran.value) == "Lima"


GLOBALS = {
    "in a cell": f"answer = {ASK}\nanswer",
    "in a function without it": f"def ask():\n    answer = {ASK}\n    return answer\nask()",
    "in a method of a class that has it": f"class A:\n    city = 'Lima'\n    def ask(self):\n"
    f"        return {CALL}\nA().ask()",
    "beside a comprehension that has it": f"def ask():\n    [city for city in 'ab']\n"
    f"    return {CALL}\nask()",
    "in a thread of a pool": "from concurrent.futures import ThreadPoolExecutor as Pool\n"
    "Pool(1).submit(get_ipython().run_line_magic, 'llm', '-q repeat exactly: {{city}}').result()",
}


@pytest.mark.parametrize("cell", GLOBALS.values(), ids=GLOBALS)
def test_a_global_is_found_where_no_local_hides_it(shell, cell):
    ran = shell.do(cell)
    assert prompts() == ["repeat exactly: Oslo"]
    assert str(ran.value) == "Oslo"


LOOKED_UP = {
    "variable card": ("-q -v it describe it", "harmless"),
    "attribute": ("-q describe {{it.columns[0]}}", "harmless"),
    "system prompt": ("-q -s @it describe it", "harmless"),
    "attachment": ("-q -a it describe it", "harmless"),
}


@pytest.mark.parametrize(("line", "wanted"), LOOKED_UP.values(), ids=LOOKED_UP)
def test_every_option_that_names_a_variable_sees_the_functions_own(shell, line, wanted):
    shell.do("import pandas as pd\nit = pd.DataFrame({'secret': [1]})")
    value = "b'harmless'" if "-a" in line else "pd.DataFrame({'harmless': [2]})"
    value = "llmkit.attach('harmless.txt')" if "-a" in line else value
    shell.do("import llmkit, pathlib; pathlib.Path('harmless.txt').write_text('harmless')")
    shell.do(f"def ask(it):\n    %llm {line}\nask({value})")
    sent = str(sandbox.server().requests[-1].body["messages"])
    assert wanted in sent
    assert "secret" not in sent


def test_a_schema_is_the_functions_own(shell):
    shell.do("form = {'type': 'object', 'properties': {'secret': {'type': 'integer'}}}")
    own = "{'type': 'object', 'properties': {'harmless': {'type': 'integer'}}, 'required': ['harmless']}"
    ran = shell.do(
        f"def ask(form):\n    answer = %llm -q --schema form give one\n    return answer.json()\nask({own})"
    )
    assert list(ran.value) == ["harmless"]


def test_a_chat_describes_the_functions_own_variable(shell):
    shell.do("import llmkit\ntable = 'secret'")
    shell.do(
        "def ask(table):\n    llmkit.Chat('sandbox', vars=['table']).ask('describe it')\nask('harmless')"
    )
    sent = str(sandbox.server().requests[-1].body["messages"])
    assert "harmless" in sent
    assert "secret" not in sent


MODULE = "from IPython import get_ipython\n{before}\ndef ask({parameter}):\n    return " + CALL


@pytest.mark.parametrize(
    ("before", "parameter", "arguments"),
    [("city = 'Lima'", "", ""), ("", "city", "'Lima'"), ("city = 'Quito'", "city", "'Lima'")],
)
def test_a_function_of_a_module_sees_its_own_names_before_the_notebooks(shell, before, parameter, arguments):
    text = MODULE.replace("{before}", before).replace("{parameter}", parameter)
    shell.do(f"import types\nhelper = types.ModuleType('helper')\nexec({text!r}, vars(helper))")
    shell.do(f"helper.ask({arguments})")
    assert prompts() == ["repeat exactly: Lima"]


def test_a_module_that_has_no_such_name_leaves_the_notebooks(shell):
    text = MODULE.replace("{before}", "").replace("{parameter}", "")
    shell.do(f"import types\nhelper = types.ModuleType('helper')\nexec({text!r}, vars(helper))")
    shell.do("helper.ask()")
    assert prompts() == ["repeat exactly: Oslo"]


HIDDEN = {
    "a closure that does not use it": f"def f(city):\n    def g():\n        return {CALL}\n"
    f"    return g()\nf('Lima')",
    "a closure that outlives its function": f"def f(city):\n    return lambda: {CALL}\nf('Lima')()",
    "a local that has no value yet": f"def ask():\n    answer = {ASK}\n    city = 'Lima'\nask()",
    "a local that was deleted": f"def ask(city):\n    del city\n    answer = {ASK}\nask('Lima')",
}


@pytest.mark.parametrize("cell", HIDDEN.values(), ids=HIDDEN)
def test_a_local_that_cannot_be_seen_is_refused_rather_than_its_global_sent(shell, cell):
    ran = shell.run(cell)
    assert prompts() == []
    assert "city" in str(ran.error)
    assert "Oslo" not in ran.text


def test_the_reply_goes_where_the_function_reads_it(shell):
    assert (
        str(shell.do("def ask():\n    %llm -q -o plan repeat exactly: hi\n    return plan\nask()").value)
        == "hi"
    )
    assert "plan" in shell


def test_that_a_reply_became_a_global_is_said(shell):
    ran = shell.do("def ask():\n    %llm -o plan repeat exactly: hi\nask()")
    assert "plan is set as a global: a magic cannot create a local variable of ask." in ran.text


def test_a_local_of_the_name_is_set_or_refused_before_anything_is_sent(shell):
    ran = shell.run(
        "def ask():\n    plan = None\n    %llm -q -o plan repeat exactly: hi\n    return plan\nask()"
    )
    assert "plan" not in shell
    if sys.version_info >= (3, 13):
        assert str(ran.value) == "hi"
    else:
        assert "Write plan = %llm" in str(ran.error)
        assert prompts() == []


def test_a_class_body_gets_the_reply_as_its_own(shell):
    ran = shell.do("class A:\n    %llm -q -o plan repeat exactly: hi\nA.plan")
    assert str(ran.value) == "hi"
    assert "plan" not in shell
