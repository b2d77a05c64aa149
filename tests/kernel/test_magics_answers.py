"""What `%%llm` does with a question and its answer, in a real kernel: context, formats, the next cell."""

from __future__ import annotations

import json
import os
import sqlite3
import time

import pytest

from tests.support.kernels import Kernel

pytestmark = [pytest.mark.kernel, pytest.mark.full]

START = """
get_ipython().config.pop("LLMMagics", None)
%reload_ext llmkit
import llmkit, pandas as pd
sent = lambda: llmkit.sandbox.server().requests[-1].body["messages"]
count = lambda: len(llmkit.sandbox.server().requests)
city = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
"""

PRIMES = "write a function for primes"


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernel")
    kernel = Kernel(folder, LLMKIT_LEDGER=str(folder / "ledger.sqlite"))
    kernel.folder = folder
    yield kernel
    kernel.close()


@pytest.fixture
def kernel(shared):
    """A kernel as after its start: restarting one for each test takes seconds."""
    shared.run("%reset -f -s")
    shared.run("import llmkit; llmkit.sandbox.server().requests.clear()")
    shared.run(START)
    return shared


def rows(kernel, columns="status"):
    with sqlite3.connect(kernel.folder / "ledger.sqlite") as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'calls'").fetchone():
            return []  # nothing was asked yet
        found = connection.execute(f"SELECT {columns} FROM calls ORDER BY id").fetchall()
    connection.close()
    return found


def run_cell(kernel, code, cell):
    """Run a cell as JupyterLab does, which tells the kernel the cell's identifier."""
    content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
    message = kernel.client.session.msg("execute_request", content, metadata={"cellId": cell})
    kernel.client.shell_channel.send(message)
    return kernel._reply(message["header"]["msg_id"])


class TestContext:
    def test_variables_and_cells_go_before_the_prompt(self, kernel):
        number = int(kernel.run("print(len(In) - 1)").text)
        kernel.run("df = pd.DataFrame({'a': [1, 2]})")
        result = kernel.run(f"%%llm -v df -i {number + 1}\nrepeat exactly: hi")
        assert result.data("text/plain") == ["hi"]
        assert f"Sent along: In[{number + 1}] (1 line)." in result.data("text/html")[0]
        (message,) = json.loads(kernel.run("import json; print(json.dumps(sent()))").text)
        assert message["content"].startswith("df: pandas DataFrame with 2 rows and 1 columns")
        assert f"In[{number + 1}]:\n```python\ndf = pd.DataFrame" in message["content"]
        assert message["content"].endswith("repeat exactly: hi")

    def test_a_class_of_a_cell_is_described_by_its_source(self, kernel):
        kernel.run("class Place:\n    size: int = 3\n    def area(self):\n        return self.size ** 2")
        kernel.run("%%llm -v Place -q\nWhat is it?")
        assert (
            "class Place:\n    size: int = 3\n    def area" in kernel.run("print(sent()[0]['content'])").text
        )

    def test_what_goes_along_is_shown_before_it_is_sent(self, kernel):
        shown = []

        def look(_kernel, result):
            shown.append(result.text)

        kernel.run("%%llm sandbox:sandbox!delay=1 -i 1\nrepeat exactly: hi", during=look)
        assert any(text.startswith("Sent along: In[1]") for text in shown)

    def test_a_figure_and_a_file_are_attached(self, kernel):
        (kernel.folder / "notes.txt").write_text("Some notes.")
        kernel.run("from matplotlib.figure import Figure; fig = Figure(); fig.subplots()")
        assert kernel.run("%%llm -a fig -a notes.txt -q\nWhat is this?").status == "ok"
        kinds = kernel.run("print([part['type'] for part in sent()[-1]['content']])").text
        assert "image_url" in kinds
        assert "Some notes." in kernel.run("print(sent())").text

    def test_parameters_of_the_provider_go_out(self, kernel):
        kernel.run("%%llm -p top_p=0.5 -p stop='[\"x\"]' -q\nHello")
        shown = kernel.run("b = llmkit.sandbox.server().requests[-1].body; print(b['top_p'], b['stop'])")
        assert shown.text == "0.5 ['x']\n"

    def test_a_variable_that_is_not_there_sends_nothing(self, kernel):
        result = kernel.run("%%llm -v nowhere\nHello")
        assert result.reply["ename"] == "UsageError"
        assert kernel.run("print(count())").text == "0\n"


class TestDryRun:
    def test_it_shows_what_a_call_then_sends_and_sends_nothing(self, kernel):
        before = len(rows(kernel))
        kernel.run("n = 7")
        line = "-v n -s 'Be brief.' -T 0.5 -t dry"
        shown = kernel.run(f"%%llm -d {line}\nrepeat exactly: {{{{n}}}} €").text
        assert kernel.run("print(count())").text == "0\n"
        assert len(rows(kernel)) == before
        assert "Dry run: nothing was sent. A call would go to sandbox:sandbox at 127.0.0.1:" in shown
        kernel.run(f"%%llm {line}\nrepeat exactly: {{{{n}}}} €")
        for message in json.loads(kernel.run("import json; print(json.dumps(sent()))").text):
            for part in message["content"].split("\n\n"):
                assert part in shown
        for title in ("system prompt", "variable n", "prompt", "temperature=0.5", "of answer: $"):
            assert title in shown

    def test_it_needs_no_key_and_prices_each_model(self, kernel):
        result = kernel.run("%%llm openai:gpt-4o-mini,sonnet,openai:nobody-knows -d\nHello")
        assert result.status == "ok"
        assert "openai:gpt-4o-mini at api.openai.com" in result.text
        assert "anthropic:claude-sonnet-5-5 at api.anthropic.com" in result.text
        assert "of answer: $?" in result.text

    def test_a_model_without_a_name_is_reported(self, kernel):
        assert "'sandbox,' has an empty model name." in kernel.run("%%llm -d sandbox,\nHello").reply["evalue"]

    def test_attachments_and_the_schema_have_lines_of_their_own(self, kernel):
        (kernel.folder / "notes.txt").write_text("Some notes.")
        shown = kernel.run("%%llm -d -a notes.txt --schema city\nHello").text
        assert "notes.txt (user) ──\nSome notes." in shown
        assert "schema (system)" in shown


class TestTags:
    def test_an_option_labels_one_call_and_a_subcommand_all_that_follow(self, kernel):
        kernel.run("%%llm sandbox -q\nhi")
        count = len(rows(kernel))
        kernel.run("%%llm sandbox -q --tag project=thesis --tag 'step=first draft'\nhi")
        assert kernel.run("%llm tags who=me").text == "Tags: who=me\n"
        kernel.run("%%llm sandbox -q --tag project=thesis\nhi")
        kernel.run("with llmkit.tags(project='other'):\n    get_ipython().run_line_magic('llm', '-q hi')")
        kernel.run("client = llmkit.client('sandbox')")
        kernel.run("await client.generate_text([llmkit.LLMMessage(role='user', content='hi')])")
        kernel.run("%%llm sandbox,sandbox-mini -q --tag who=you\nhi")
        assert kernel.run("%llm tags off").text.startswith("No tags: %llm tags project=thesis")
        kernel.run("%%llm sandbox -q\nhi")
        assert [json.loads(tags or "{}") for (tags,) in rows(kernel, "tags")[count:]] == [
            {"project": "thesis", "step": "first draft"},
            {"who": "me", "project": "thesis"},
            {"who": "me", "project": "other"},
            {"who": "me"},
            {"who": "you"},
            {"who": "you"},
            {},
        ]
        assert kernel.run("print(len(llmkit.ledger.query(tag='project=thesis')))").text == "2\n"
        assert "thesis" in kernel.run("%llm cost tag:project").data("text/plain")[0]

    def test_labels_are_added_and_shown_and_a_dry_run_tells_of_them(self, kernel):
        assert kernel.run("%llm tags").text.startswith("No tags")
        kernel.run("%llm tags project=thesis step=1")
        assert kernel.run("%llm tags step=2").text == "Tags: project=thesis, step=2\n"
        assert kernel.run("%llm tags").text == "Tags: project=thesis, step=2\n"
        report = kernel.run("%llm -d --tag step=3 hi").text
        assert "Tags in the ledger: project=thesis, step=3." in report
        kernel.run("%llm tags off")
        assert "Tags" not in kernel.run("%llm -d hi").text

    def test_a_label_without_a_value_is_not_sent(self, kernel):
        before = kernel.run("print(count())").text
        assert "NAME=VALUE, like project=thesis" in kernel.run("%llm --tag thesis hi").reply["evalue"]
        for line in ("%llm tags thesis", "%llm tags project='my thesis'"):
            assert "%llm tags [NAME=VALUE ... | off]" in kernel.run(line).reply["evalue"]
        assert kernel.run("print(count())").text == before


class TestFormats:
    def test_json_is_checked_shown_pretty_and_returned(self, kernel):
        result = kernel.run('%%llm --schema city -o r\nrepeat exactly: {"city": "Rome"}')
        assert result.data("text/plain") == ['{\n  "city": "Rome"\n}']
        assert '<span class="llmkit-k">"city"</span>' in result.data("text/html")[0]
        assert kernel.run("print(r.json())").text == "{'city': 'Rome'}\n"
        body = kernel.run("print(llmkit.sandbox.server().requests[-1].body['response_format'])").text
        assert "json_schema" in body

    def test_of_several_values_the_one_that_fits_is_returned(self, kernel):
        kernel.run('text = \'repeat exactly: [1] and {"city": "Rome"}\'')
        kernel.run("%%llm --schema city -q -o r\n{{text}}")
        assert kernel.run("print(r.json(), count())").text == "{'city': 'Rome'} 1\n"

    def test_an_interrupt_while_json_streams_keeps_the_text(self, kernel):
        stopped = []

        def stop(kernel, result):
            if not stopped and "one two" in " ".join(result.data("text/html")):
                stopped.append(True)
                kernel.interrupt()

        asked = 'repeat exactly: {"answer": "one two three four five six seven eight nine ten eleven twelve"}'
        result = kernel.run(f"%%llm sandbox:sandbox!stall=12 -f json\n{asked}", during=stop)
        assert result.reply["ename"] == "Stopped"
        assert '"answer"' in result.data("text/plain")[0]
        assert rows(kernel)[-1] == ("cancelled",)

    def test_an_answer_of_the_wrong_form_is_corrected_once_and_both_calls_have_rows(self, kernel):
        before = len(rows(kernel))
        result = kernel.run("%%llm --schema city\nrepeat exactly: not at all")
        assert result.data("text/plain")[0].startswith('{\n  "city": ')
        assert (
            "The first answer had the wrong format, so the call was repeated for another $"
            in result.data("text/html")[0]
        )
        assert rows(kernel)[before:] == [("ok",), ("ok",)]
        roles = kernel.run("print([m['role'] for m in sent()])").text
        assert roles == "['user', 'assistant', 'user']\n"

    def test_a_second_misfit_is_an_error_that_shows_the_answer(self, kernel):
        before = len(rows(kernel))
        result = kernel.run("%%llm sandbox:sandbox!tokens=1 --schema city\nrepeat exactly: never")
        assert result.status == "error"
        assert result.reply["ename"] == "BadResponseError"
        assert len(result.reply["traceback"]) == 1
        assert len(result.data("text/plain")) == 1
        assert len(rows(kernel)) == before + 2

    def test_a_table_is_a_frame_and_shown_as_one(self, kernel):
        result = kernel.run("r = %llm -f df list three cities")
        (html,) = result.data("text/html")
        assert "<th>city</th>" in html
        assert "3 rows" in html
        assert kernel.run("print(type(r.df).__name__, len(r.df))").text == "DataFrame 3\n"

    def test_what_a_table_holds_cannot_run(self, kernel):
        kernel.run("bad = '<img src=x onerror=alert(1)>'")
        result = kernel.run('%%llm -f df\nrepeat exactly: [{"a": "{{bad}}"}]')
        (html,) = result.data("text/html")
        assert "&lt;img src=x" in html
        assert "<img" not in html

    def test_plain_text_is_not_read_as_markdown(self, kernel):
        result = kernel.run("%%llm -f text\nrepeat exactly: **a** <b>")
        assert "**a** &lt;b&gt;" in result.data("text/html")[0]
        assert result.data("text/plain") == ["**a** <b>"]

    def test_the_configuration_sets_the_format(self, kernel):
        kernel.run("%config LLMMagics.format = 'text'")
        assert "**a**" in kernel.run("%%llm\nrepeat exactly: **a**").data("text/html")[0]
        assert "<strong>a" in kernel.run("%%llm -f md\nrepeat exactly: **a**").data("text/html")[0]


class TestNextCell:
    def test_code_goes_into_the_next_cell_and_a_second_run_adds_none(self, kernel):
        (payload,) = run_cell(kernel, f"%%llm -c\n{PRIMES}", "one")["payload"]
        assert (payload["source"], payload["replace"]) == ("set_next_input", False)
        assert payload["text"].startswith("# made by %%llm, cell one\ndef primes")
        assert run_cell(kernel, f"%%llm -c\n{PRIMES}", "one")["payload"] == []
        assert len(run_cell(kernel, f"%%llm -c -f code\n{PRIMES}", "two")["payload"]) == 1

    def test_after_a_restart_the_saved_notebook_tells_which_cells_were_made(self, kernel):
        notebook = kernel.folder / "work.ipynb"
        cells = [{"cell_type": "code", "source": ["# made by %%llm, cell three\n", "x = 1"]}]
        notebook.write_text(json.dumps({"cells": cells}))
        kernel.run(f"import os; os.environ['JPY_SESSION_NAME'] = {str(notebook)!r}")
        assert run_cell(kernel, f"%%llm -c\n{PRIMES}", "three")["payload"] == []
        assert len(run_cell(kernel, f"%%llm -c\n{PRIMES}", "four")["payload"]) == 1

    def test_after_a_restart_without_saving_no_second_cell_is_made(self, kernel):
        notebook = kernel.folder / "unsaved.ipynb"
        notebook.write_text('{"cells": []}')
        kernel.run(f"import os; os.environ['JPY_SESSION_NAME'] = {str(notebook)!r}")
        assert len(run_cell(kernel, f"%%llm -c\n{PRIMES}", "five")["payload"]) == 1
        kernel.run("%reload_ext llmkit")  # forgets the session, as a restart does
        assert run_cell(kernel, f"%%llm -c\n{PRIMES}", "five")["payload"] == []

    def test_a_made_cell_that_was_deleted_before_saving_is_made_again(self, kernel):
        notebook = kernel.folder / "deleted.ipynb"
        notebook.write_text('{"cells": []}')
        kernel.run(f"import os; os.environ['JPY_SESSION_NAME'] = {str(notebook)!r}")
        assert len(run_cell(kernel, f"%%llm -c\n{PRIMES}", "six")["payload"]) == 1
        later = time.time() + 60
        os.utime(notebook, (later, later))
        kernel.run("%reload_ext llmkit")
        assert len(run_cell(kernel, f"%%llm -c\n{PRIMES}", "six")["payload"]) == 1

    def test_fix_makes_one_cell_as_well(self, kernel):
        notebook = kernel.folder / "fixed.ipynb"
        notebook.write_text('{"cells": []}')
        kernel.run(f"import os; os.environ['JPY_SESSION_NAME'] = {str(notebook)!r}")
        for expected in (1, 0):
            kernel.run("%reload_ext llmkit")
            kernel.run("1 / 0")
            assert len(run_cell(kernel, "%llm fix", "seven")["payload"]) == expected

    def test_the_same_cell_of_a_copied_notebook_makes_its_own(self, kernel):
        for name in ("one.ipynb", "copy of one.ipynb"):
            notebook = kernel.folder / name
            notebook.write_text('{"cells": []}')
            kernel.run(f"%reload_ext llmkit\nimport os; os.environ['JPY_SESSION_NAME'] = {str(notebook)!r}")
            assert len(run_cell(kernel, f"%%llm -c\n{PRIMES}", "eight")["payload"]) == 1

    def test_an_answer_without_code_says_so(self, kernel):
        result = kernel.run("%%llm -c\nrepeat exactly: words")
        assert "The answer has no code, so no cell was created." in result.data("text/html")[0]
        assert result.reply["payload"] == []


class TestLastError:
    def test_fix_sends_the_cell_and_its_traceback_and_puts_code_into_the_next_cell(self, kernel):
        kernel.run("def f(x):\n    return 1 / x  # token sk-proj-abcdefghijklmnopqrstuvwxyz\nf(0)")
        result = kernel.run("%llm fix")
        assert "and its traceback. Text that looks like a key was left out.\n" in result.text
        (payload,) = result.reply["payload"]
        assert payload["source"] == "set_next_input"
        prompt = kernel.run("print(sent()[-1]['content'])").text
        assert "return 1 / x  # token [redacted]\nf(0)" in prompt
        assert "ZeroDivisionError: division by zero" in prompt
        assert "IPython/core" not in prompt

    def test_explain_asks_about_the_error_that_was_not_its_own(self, kernel):
        kernel.run("undefined_name")
        kernel.run("%config LLMMagics.model = 'sandbox:sandbox!401'")
        assert kernel.run("%llm explain").status == "error"
        kernel.run("%config LLMMagics.model = 'sandbox'")
        kernel.run("%llm explain")
        assert "name 'undefined_name' is not defined" in kernel.run("print(sent()[-1]['content'])").text

    @pytest.mark.parametrize("question", ["%llm fix", "%llm explain"])
    @pytest.mark.parametrize(
        ("cell", "advice"),
        [
            ("%%llm -m sandbox:sandbox!401\nHi", "Check the key and its source"),
            ("%%llm --modle x\nHi", "Did you mean --model?"),
            (
                "raise llmkit.BudgetExceededError('The day is over its budget.')",
                "The day is over its budget.",
            ),
            ("import llmkit\nllmkit.client('nobody:nothing')", "nobody"),
        ],
    )
    def test_an_error_of_llmkits_own_says_its_advice_and_nothing_is_sent(
        self, kernel, question, cell, advice
    ):
        assert kernel.run(cell).status == "error"
        before = kernel.run("print(len(llmkit.sandbox.server().requests))").text
        result = kernel.run(question)
        assert result.status == "ok"
        assert result.text.startswith("Nothing was sent: the last error came from llmkit")
        assert advice in result.text
        assert kernel.run("print(len(llmkit.sandbox.server().requests))").text == before

    def test_an_error_from_before_the_extension_was_loaded_can_be_explained(self, kernel):
        kernel.run("%unload_ext llmkit")
        kernel.run("early = 1 / 0")
        kernel.run("%llm explain")
        prompt = kernel.run("print(sent()[-1]['content'])").text
        assert "early = 1 / 0\n```" in prompt
        assert "ZeroDivisionError" in prompt

    def test_a_syntax_error_can_be_explained(self, kernel):
        kernel.run("for x in")
        kernel.run("%llm explain")
        assert "SyntaxError" in kernel.run("print(sent()[-1]['content'])").text

    def test_without_an_error_there_is_nothing_to_fix(self, kernel):
        kernel.run("import sys; vars(sys).pop('last_value', None)")
        assert "No cell has failed so far." in kernel.run("%llm fix").reply["evalue"]


class TestSession:
    def test_the_last_answer_is_shown_again_with_its_footer(self, kernel):
        kernel.run("%%llm -q\nrepeat exactly: **bold**")
        (html,) = kernel.run("%llm last").data("text/html")
        assert "<strong>bold</strong>" in html
        assert "tok" in html

    def test_threads_are_listed_shown_renamed_and_deleted(self, kernel):
        kernel.run("%%llm -t one\nrepeat exactly: hi")
        assert kernel.run("%llm thread").text == "one: 2 messages\n"
        assert kernel.run("%llm thread one").text == "user: repeat exactly: hi\n\nassistant: hi\n"
        kernel.run("%llm thread rename one two")
        assert "Did you mean two?" in kernel.run("%llm thread tow").reply["evalue"]
        kernel.run("%llm thread delete two")
        assert kernel.run("%llm thread").text == "There are no conversations yet. %%llm -t starts one.\n"

    def test_an_alias_is_kept_for_the_session_and_a_loop_is_reported(self, kernel):
        assert kernel.run("%llm alias fast=sandbox:sandbox-mini").text == "fast  sandbox:sandbox-mini\n"
        kernel.run("%%llm fast -q\nHello")
        assert rows(kernel, "model")[-1] == ("sandbox-mini",)
        kernel.run("%llm alias quick=fast")
        assert "refers to itself" in kernel.run("%llm alias fast=quick").reply["evalue"]
        assert kernel.run("%llm alias fast").text == "fast  sandbox:sandbox-mini\n"
        assert "Unknown model or provider" in kernel.run("%llm alias x=nothing-like-it").reply["evalue"]
        kernel.run("%llm alias remove quick")
        assert "quick" not in kernel.run("%llm alias").text
        kernel.run("%config LLMMagics.aliases = {'tiny': 'sandbox:sandbox-mini'}")
        assert kernel.run("%%llm tiny -q\nHello").status == "ok"

    def test_the_session_is_exported_as_markdown_for_its_owner_alone(self, kernel):
        kernel.run("%%llm -t talk\nrepeat exactly: **hi**")
        kernel.run("%llm export out.md")
        text = (kernel.folder / "out.md").read_text()
        assert "> repeat exactly: **hi**\n\n**hi**\n\n<sub>sandbox · " in text
        assert (kernel.folder / "out.md").stat().st_mode & 0o777 == 0o600
        assert kernel.run("%llm export out.md").status == "ok"
        assert "# talk\n\n> repeat exactly: **hi**\n\n**hi**" in kernel.run("%llm export thread talk").text
        (kernel.folder / "mine.md").write_text("# Mine")
        assert "so it was not overwritten" in kernel.run("%llm export mine.md").reply["evalue"]
        assert (kernel.folder / "mine.md").read_text() == "# Mine"

    def test_answers_that_were_compared_are_exported(self, kernel):
        kernel.run("%%llm sandbox,sandbox-mini\nrepeat exactly: hi")
        assert kernel.run("%llm export").text.count("> repeat exactly: hi\n\nhi") == 2

    def test_the_default_is_one_model(self, kernel):
        assert "The default must be one model." in kernel.run("%llm model sandbox,sonnet").reply["evalue"]

    def test_registered_clients_are_listed(self, kernel):
        kernel.run("llmkit.register('my-own', llmkit.OpenAIClient)")
        assert "my-own" in kernel.run("%llm models my-o").data("text/plain")[0]

    def test_help_on_a_topic_is_short(self, kernel):
        assert kernel.run("%llm help --cells").text.startswith("-i, --cells 3-7")


class TestFrontEnd:
    @pytest.mark.parametrize("jedi", [True, False])
    @pytest.mark.parametrize(
        ("typed", "expected"),
        [
            ("%%llm --m", ["--max-cost", "--max-steps", "--max-tokens", "--model"]),
            ("%%llm sandbox:sandbox-", ["sandbox:sandbox-mini", "sandbox:sandbox-thinking"]),
            ("x = %llm mod", ["model", "models"]),
            ("%%llm -v printe", ["printer"]),
            ("%%llm\ntell me {{printe", ["printer"]),
            ("%%llm\nplease prin", ["prin"]),
            ("%llm why does prin", ["prin"]),
            ("%llm why does ", [""]),
        ],
    )
    def test_completions_are_ours_alone(self, kernel, jedi, typed, expected):
        kernel.run(f"printer = 1; get_ipython().Completer.use_jedi = {jedi}")
        kernel.client.complete(typed, len(typed))
        content = kernel.client.get_shell_msg(timeout=100)["content"]
        assert content["matches"] == expected

    def test_a_model_has_its_price_beside_it(self, kernel):
        kernel.client.complete("%%llm openai:gpt-4o-m", 21)
        metadata = kernel.client.get_shell_msg(timeout=100)["content"]["metadata"]
        (shown,) = metadata["_jupyter_types_experimental"]
        assert (shown["text"], shown["type"]) == ("openai:gpt-4o-mini", "no\u2011key")
        assert shown["signature"] == "$0.15→$0.60 /M · no key"

    def test_other_cells_complete_as_ever(self, kernel):
        kernel.client.complete("impor", 5)
        assert "import" in kernel.client.get_shell_msg(timeout=100)["content"]["matches"]

    @pytest.mark.parametrize("question", ["%llm?", "%%llm?"])
    def test_help_begins_with_what_can_be_copied(self, kernel, question):
        (payload,) = kernel.run(question).reply["payload"]
        assert "Copy one of these:\n\n    %%llm\n" in payload["data"]["text/plain"]

    def test_the_configuration_lists_all_settings_and_checks_them(self, kernel):
        listed = kernel.run("%config LLMMagics").text
        for name in (
            "model", "aliases", "system", "format", "footer", "replay", "budget", "fallback",
            "max_refresh_hz", "short_errors", "tags", "temperature", "warm_up",
        ):  # fmt: skip
            assert f"LLMMagics.{name}=" in listed
        for setting in ("max_refresh_hz = 0.0", "temperature = 3.0", "budget = -1.0", "format = 'yaml'"):
            kernel.run(f"%config LLMMagics.{setting}")
        kernel.run("m = get_ipython().magics_manager.registry['LLMMagics']")
        kept = kernel.run("print(m.max_refresh_hz, m.temperature, m.budget, repr(m.format))")
        assert kept.text == "12.0 None None ''\n"

    def test_a_slower_display_sends_fewer_updates(self, kernel):
        updates = []
        for hertz in (60.0, 0.5):
            kernel.run(f"%config LLMMagics.max_refresh_hz = {hertz}")
            result = kernel.run("%%llm sandbox:sandbox!rate=80\nExplain generators.")
            texts = [m for m in result.messages if m["msg_type"] == "update_display_data"]
            updates.append(len([m for m in texts if "●" not in m["content"]["data"]["text/html"]]))
        assert updates[1] < updates[0] / 2
