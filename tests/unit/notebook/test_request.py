"""What a question sends: the same for a dry run and for a call."""

from __future__ import annotations

import pytest

from llmkit.content.messages import LLMMessage
from llmkit.content.template import CellError
from llmkit.core.errors import InvalidRequestError
from llmkit.notebook.cell.parser import parse_cell
from llmkit.notebook.request import MAX_CELL, NotebookContext, fenced, gather

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
INPUTS = ["", "import pandas", "%%llm\nHello", "", "x = '```'", "%%llm -i 1 ..."]
KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz"


def sent(line, prompt="Why?", **place):
    return gather(parse_cell(line, prompt), NotebookContext(**place))


def test_context_comes_first_and_the_prompt_last():
    outgoing = sent("-v n -i 1,2", variables={"n": 7}, inputs=INPUTS)
    assert outgoing.question.content == (
        "n: int\n7\n\nIn[1]:\n```python\nimport pandas\n```\n\nIn[2]:\n```python\n%%llm\nHello\n```\n\nWhy?"
    )
    assert outgoing.sent_along == "Sent along: In[1], In[2] (3 lines)."


def test_a_fence_in_a_cell_does_not_end_its_fence():
    assert "````python\nx = '```'\n````" in sent("-i 4", inputs=INPUTS).question.content
    assert fenced("~~~", "") == "```\n~~~\n```"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-i 9", "-i 9: there is no In[9] yet. The last one is In[4]."),
        ("-i 5", "-i 5: there is no In[5] yet. The last one is In[4]."),
        ("-i 3", "-i 3: In[3] is empty."),
        ("-v fram", "-v fram: fram is not defined. Did you mean frame?"),
        ("-v frame.nothing", "-v frame.nothing: there is no .nothing."),
        ("-a fram", "-a fram: there is neither a variable nor a file of this name. Did you mean frame?"),
        ("--schema nope", "--schema nope: nope is not defined. Define it first."),
        ("-f text --schema frame", "--schema and -f text do not go together. Use -f json or df."),
    ],
)
def test_a_missing_name_is_reported_with_the_nearest_one(line, message):
    with pytest.raises(CellError) as caught:
        sent(line, variables={"frame": 1}, inputs=INPUTS)
    assert str(caught.value) == message


def test_keys_stay_out_of_cells_cards_files_and_system_prompts(tmp_path):
    (tmp_path / "env.txt").write_text(f"TOKEN={KEY}")
    outgoing = sent(
        "-v k -i 1 -a env.txt -s @k",
        "About {{k}}",
        variables={"k": KEY},
        inputs=["", f"key = '{KEY}'", "now"],
    )
    assert KEY not in str(outgoing.messages)
    assert KEY not in outgoing.question.attachments[0].text
    assert len(outgoing.notes) == 4


def test_a_long_cell_is_cut_and_the_cut_is_reported():
    outgoing = sent("-i 1", inputs=["", "x" * (MAX_CELL + 1), "now"])
    assert "In[1] is long: only its first 20,000 characters were sent." in outgoing.notes


def test_a_variable_goes_before_a_file_of_the_same_name_and_a_file_before_an_attribute(tmp_path):
    (tmp_path / "plot.png").write_bytes(PNG)
    (tmp_path / "data").write_text("from the file")
    outgoing = sent(
        "-a plot.png -a data -a path", variables={"plot": 1, "data": b"from memory", "path": "data"}
    )
    assert [a.media_type for a in outgoing.question.attachments] == ["image/png", "text/plain", "text/plain"]
    assert [a.text for a in outgoing.question.attachments[1:]] == ["from memory", "from the file"]
    assert [a.name for a in outgoing.question.attachments] == ["plot.png", "data", "data"]


def test_a_file_that_is_not_there_is_an_error_of_the_request():
    with pytest.raises(InvalidRequestError, match=r"File not found: 'nothing\.png'"):
        sent("-a nothing.png")


def test_only_what_was_chosen_is_a_parameter():
    assert sent("").options == {}
    assert sent("-T 0 -k 5 -p top_p=0.5").options == {"temperature": 0.0, "max_tokens": 5, "top_p": 0.5}
    assert sent("", temperature=0.3).options == {"temperature": 0.3}
    assert sent("-T 0", temperature=0.3).options == {"temperature": 0.0}


def test_a_thread_goes_along_unless_it_is_begun_afresh():
    history = [LLMMessage("user", "Hi"), LLMMessage("assistant", "Hello")]
    assert [m.content for m in sent("-t", history=history).messages] == ["Hi", "Hello", "Why?"]
    assert [m.content for m in sent("-t -n", history=history).messages] == ["Why?"]
    assert [m.content for m in sent("", history=history).messages] == ["Why?"]


def test_the_system_prompt_is_the_cells_else_the_settings():
    assert [m.role for m in sent("", system="Be brief.").messages] == ["system", "user"]
    assert sent("-s Loud", system="Be brief.").messages[0].content == "Loud"
    assert sent("-s @rules", variables={"rules": "Be kind."}).messages[0].content == "Be kind."


def test_a_format_asks_in_the_providers_way_or_in_words():
    assert sent("-f json").options["schema"].json is None
    city = {"type": "object", "properties": {"city": {"type": "string"}}}
    assert sent("--schema city", variables={"city": city}).options["schema"].json == city
    assert sent("-f df --schema city", variables={"city": city}).options["schema"].json["required"] == [
        "rows"
    ]
    assert "CSV" in sent("-f df", system="Be brief.").messages[0].content
    assert sent("-f df", system="Be brief.").messages[0].content.startswith("Be brief.\n\n")
    assert sent("", format="code").format == "code"
    assert [sent(line).messages[0].role for line in ("-f md", "-f text")] == ["user", "user"]
