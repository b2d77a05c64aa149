"""An answer without text says what came instead, at every door, and keeps it within reach."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmkit
from llmkit import LLMMessage, LLMResponse
from llmkit.notebook.reply import Reply
from llmkit.providers.codec import Answer
from llmkit.providers.google import GoogleCodec
from llmkit.providers.openai_chat import OpenAICodec
from llmkit.providers.raw_parts import gathered, sentence
from tests.faults.test_faults import call, client_of
from tests.support.dialects import DIALECTS, Anthropic, Google, OpenAI, dump
from tests.support.fixed import Fixed
from tests.support.kernels import Kernel
from tests.support.peer import Peer, events, http
from tests.support.wordless import (
    ANSWERS,
    CALL,
    CODE,
    IMAGE,
    PIXEL,
    RAN,
    RESULT,
    SEARCH,
    anthropic,
    done,
    google,
    openai,
    words,
)

pytestmark = pytest.mark.usefixtures("quiet")

MODES = pytest.mark.parametrize("mode", ["plain", "stream"])
OWN = pytest.mark.parametrize("own", [False, True], ids=["llmkit's client", "a user's own"])


async def asked(protocol, answer, mode, *, own=False):
    d = DIALECTS[protocol]
    plain, stream = answer
    async with Peer() as peer, client_of(d, peer.url, own=own) as client:
        peer.scripts = {"m": [(http(200, plain) if mode == "plain" else events(stream),)]}
        outcome = await call(client, "m", mode)
    assert outcome.error is None
    return outcome.answer


@pytest.mark.product
@OWN
@MODES
@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_without_text_says_what_came_and_keeps_it(name, mode, own):
    answer, parts, reason, said = ANSWERS[name]
    response = await asked(name.partition(":")[0], answer, mode, own=own)
    assert (response.content, response.finish_reason) == ("", reason)
    assert said in response.note
    assert [ours(part, parts) for part in response.raw_parts] == parts
    assert "raw_parts=" not in repr(response)
    assert not parts or "response.raw_parts" in response.note


def ours(part, parts):
    """The part without the number that a stream gives to a piece."""
    wanted = [name for one in parts for name in one]
    return {name: value for name, value in part.items() if name in wanted}


class TestAssembling:
    async def test_calls_of_several_tools_are_put_together_by_their_number(self):
        pieces = [
            {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "one", "arguments": "{"}}]},
            {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "two", "arguments": '{"x"'}}]},
            {
                "tool_calls": [
                    {"index": n, "function": {"arguments": end}} for n, end in enumerate(["}", ": 1}"])
                ]
            },
        ]
        response = await asked("openai", openai({}, "tool_calls", *pieces), "stream")
        found = [(part["id"], part["function"]) for part in response.raw_parts]
        assert found == [
            ("a", {"name": "one", "arguments": "{}"}),
            ("b", {"name": "two", "arguments": '{"x": 1}'}),
        ]
        assert "calls of the tools one and two. They are in" in response.note

    async def test_calls_that_a_server_numbers_alike_stay_apart(self):
        pieces = [{"tool_calls": [{**CALL, "index": 0, "id": id}]} for id in ("a", "b")]  # noqa: A001 - as in the format
        response = await asked("openai", openai({}, "stop", *pieces), "stream")
        assert [part["id"] for part in response.raw_parts] == ["a", "b"]
        assert response.finish_reason == "tool_calls"

    async def test_input_that_was_cut_stays_a_text(self):
        use = {"type": "tool_use", "id": "t", "name": "n", "input": {}}
        block = (use, [{"type": "input_json_delta", "partial_json": '{"city'}], use)
        response = await asked("anthropic", anthropic("max_tokens", block), "stream")
        assert response.raw_parts[0]["input"] == '{"city'
        assert "partial_json" not in response.raw_parts[0]

    @MODES
    async def test_a_message_with_text_tells_of_an_image_and_not_of_its_sources(self, mode):
        source = {"type": "url_citation", "url_citation": {"url": "http://x.invalid/"}}
        whole = {"content": "Here:", "images": [IMAGE], "annotations": [source]}
        response = await asked("openai", openai(whole, "stop", whole), mode)
        assert response.content == "Here:"
        assert response.note == "Besides its text, the answer has an image. It is in response.raw_parts."
        assert response.raw_parts == (IMAGE, source)

    @MODES
    async def test_thoughts_before_a_text_need_no_word(self, mode):
        answer = google("STOP", {"text": "hm", "thought": True}, {"text": "Hi"})
        response = await asked("google", answer, mode)
        assert (response.content, response.note) == ("Hi", "")
        assert response.raw_parts == ({"text": "hm", "thought": True},)

    @MODES
    async def test_sources_of_gemini_and_perplexity_are_kept(self, mode):
        grounding = {"webSearchQueries": ["Lima"], "groundingChunks": [{"web": {"uri": "http://x.invalid/"}}]}
        response = await asked("google", google("STOP", {"text": "Hi"}, groundingMetadata=grounding), mode)
        assert response.raw_parts == ({"groundingMetadata": grounding},)
        whole = {**OpenAI.whole("Hi"), "citations": ["http://x.invalid/"]}
        last = OpenAI.chunk({}, "stop", citations=["http://x.invalid/"])
        stream = OpenAI.piece("Hi") + last + b"data: [DONE]\n\n"
        response = await asked("openai", (dump(whole), stream), mode)
        assert response.raw_parts == ({"citations": ["http://x.invalid/"]},)
        assert response.note == ""

    def test_long_reasoning_costs_no_more_than_its_length(self):
        answer, codec = Answer(), OpenAICodec()
        piece = OpenAI.chunk({"reasoning_content": "word " * 20})[6:-2]
        for _ in range(20_000):
            codec.decode(piece, answer)
        assert len(gathered(answer)[0]["reasoning_content"]) == 2_000_000
        assert len(answer.parts) == 1


class TestWithoutACandidate:
    async def test_a_whole_answer_is_empty(self):
        told = {"candidates": [], "usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5}}
        response = await asked("google", (dump(told), b""), "plain")
        assert (response.content, response.finish_reason) == ("", None)
        assert "The answer is empty." in response.note

    @MODES
    async def test_a_blocked_prompt_is_said(self, mode):
        told = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}}
        response = await asked("google", (dump(told), Google.event(told)), mode)
        assert response.finish_reason == "content_filter"
        assert "the prompt was blocked" in response.note
        assert response.raw_parts == ({"promptFeedback": {"blockReason": "SAFETY"}},)

    @OWN
    async def test_a_stream_is_an_error(self, own):
        told = Google.event({"candidates": [], "usageMetadata": {"promptTokenCount": 5}})
        async with Peer() as peer, client_of(Google, peer.url, own=own) as client:
            peer.scripts = {"m": [(events(told),)]}
            outcome = await call(client, "m", "stream")
        assert isinstance(outcome.error, llmkit.StreamInterruptedError)


class TestSeams:
    """Texts around a server's tool are apart; texts that citations divide are one."""

    @OWN
    @MODES
    async def test_a_blank_line_stands_around_a_servers_tool(self, mode, own):
        blocks = [words("I will search."), done(SEARCH), done(RESULT), words("Lima is in Peru.")]
        response = await asked("anthropic", anthropic("end_turn", *blocks), mode, own=own)
        assert response.content == "I will search.\n\nLima is in Peru."

    @MODES
    @pytest.mark.parametrize(
        ("before", "after"), [("One.\n", "Two."), ("One.", "\n\nTwo."), ("One.\n\n", "Two.")]
    )
    async def test_line_breaks_that_are_there_count(self, mode, before, after):
        blocks = [words(before), done(SEARCH), done(RESULT), words(after)]
        response = await asked("anthropic", anthropic("end_turn", *blocks), mode)
        assert response.content == "One.\n\nTwo."

    @OWN
    @MODES
    async def test_texts_that_citations_divide_stay_together(self, mode, own):
        cited = {"type": "web_search_result_location", "url": "http://x.invalid/", "cited_text": "Lima"}
        middle = {"type": "text", "text": "capital of Peru", "citations": [cited]}
        deltas = [
            {"type": "text_delta", "text": "capital of Peru"},
            {"type": "citations_delta", "citation": cited},
        ]
        block = ({"type": "text", "text": "", "citations": []}, deltas, middle)
        answer = anthropic("end_turn", words("Lima is the "), block, words(", by the sea."))
        response = await asked("anthropic", answer, mode, own=own)
        assert response.content == "Lima is the capital of Peru, by the sea."
        assert response.raw_parts == (cited,)

    @OWN
    @MODES
    async def test_a_blank_line_stands_around_code_that_gemini_ran(self, mode, own):
        answer = google(
            "STOP", {"text": "Let me "}, {"text": "compute."}, CODE, RAN, {"text": "It is "}, {"text": "42."}
        )
        response = await asked("google", answer, mode, own=own)
        assert response.content == "Let me compute.\n\nIt is 42."
        assert response.note == ""

    @MODES
    async def test_nothing_is_added_before_the_first_text(self, mode):
        answer = anthropic("end_turn", done(SEARCH), done(RESULT), words("Lima"))
        assert (await asked("anthropic", answer, mode)).content == "Lima"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    ["type", "name", "function", "functionCall", "inlineData", "mimeType", "thought", "audio", "partial_json"]
)


@given(st.lists(st.dictionaries(NAMES, JSON, max_size=4), max_size=4), st.text(max_size=9))
def test_any_parts_are_described_on_one_short_line(parts, text):
    said = sentence(parts, text)
    assert said.isprintable()
    assert len(said) < 1000


@given(st.lists(st.dictionaries(st.sampled_from(["tool_calls", "images", "reasoning", "audio", "content"]), JSON), max_size=4))  # fmt: skip  # noqa: E501
def test_any_pieces_are_put_together(deltas):
    answer, codec = Answer(), OpenAICodec()
    for delta in deltas:
        if not isinstance(delta.get("content"), (dict, bool, int)):
            with_text = {**delta, "content": None} if isinstance(delta.get("content"), list) else delta
            codec.decode(dump({"choices": [{"delta": with_text}]}), answer)
    assert all(isinstance(part, dict) for part in gathered(answer))


@given(st.lists(st.dictionaries(st.sampled_from(["text", "thought", "functionCall", "x"]), JSON), max_size=4))
def test_any_parts_of_gemini_are_put_together(parts):
    answer, codec = Answer(), GoogleCodec()
    parts = [{**part, "text": "x"} if "text" in part else part for part in parts]
    codec.decode(dump({"candidates": [{"content": {"parts": parts}}]}), answer)
    assert all(isinstance(part, dict) for part in gathered(answer))


# --- the doors


SERVER = {}
FACTORIES = {
    "openai": llmkit.OpenAIClient,
    "anthropic": llmkit.AnthropicClient,
    "google": llmkit.GoogleAIClient,
}


def made_of(protocol, model=None):
    return FACTORIES[protocol]("k", SERVER["at"].url(protocol), model=model)


def client_at_the_server(protocol):
    return lambda **_: made_of(protocol)


for _protocol in FACTORIES:
    llmkit.register(f"wordless-{_protocol}", client_at_the_server(_protocol))


@pytest.fixture(scope="module")
def provider():
    with Fixed() as server:
        server.answers = {name.replace(": ", "-").replace(" ", "-"): one[0] for name, one in ANSWERS.items()}
        SERVER["at"] = server
        yield server


CALLS = [f"wordless-{protocol}:{protocol}-a-call-of-a-tool" for protocol in FACTORIES]


@pytest.mark.parametrize("protocol", FACTORIES)
async def test_batch_says_what_came_instead_of_text(protocol, provider):
    async with made_of(protocol, f"{protocol}-a-call-of-a-tool") as client:
        [found] = await llmkit.batch(["Go on."], client, progress=False)
    assert found.content == ""
    assert "a call of the tool get_weather" in found.note
    assert "a call of the tool get_weather" in repr(found)


@pytest.mark.parametrize("model", CALLS)
def test_chat_says_what_came_instead_of_text(model, provider):
    chat = llmkit.Chat(model=model)
    reply = chat.ask("Go on.")
    assert "a call of the tool get_weather" in repr(reply)
    assert "a call of the tool get_weather" in chat._runner.talk.branch[-1].response.note


def test_compare_says_what_came_instead_of_text(provider):
    found = llmkit.compare("Go on.", CALLS)
    from llmkit.notebook.compare.drawing import final

    data = final(found)
    for kind in ("text/plain", "text/html"):
        assert data[kind].count("a call of the tool get_weather") == len(CALLS)


def test_a_reply_that_is_read_says_what_came_instead_of_text():
    response = LLMResponse("", "openai", "m", note="The answer has no text: an image.", raw_parts=(IMAGE,))
    reply = Reply(response)
    assert repr(reply) == "<Reply of m: The answer has no text: an image.>"
    with pytest.raises(
        llmkit.BadResponseError, match=r"The answer has no text: an image\. Ask for text instead\."
    ):
        reply.json()
    assert copy.deepcopy(response) == response


@pytest.mark.kernel
def test_a_cell_says_what_came_instead_of_text(provider, tmp_path):
    provider.answers["hostile"] = (
        openai(
            {
                "tool_calls": [
                    {**CALL, "function": {"name": "<img src=x onerror=alert(1)>$x$", "arguments": ""}}
                ]
            },
            "stop",
        )[0],
        openai(
            {},
            "stop",
            {"tool_calls": [{"index": 0, "function": {"name": "<img src=x onerror=alert(1)>$x$"}}]},
        )[1],
    )
    kernel = Kernel(tmp_path, LLMKIT_LEDGER=":memory:", **provider.environment)
    try:
        kernel.run("%load_ext llmkit")
        for name, (_, _, _, said) in ANSWERS.items():
            protocol, _, kind = name.partition(": ")
            cell = kernel.run(f"%%llm {protocol}:{protocol}-{kind.replace(' ', '-')}\nGo on.")
            [html], [text] = cell.data("text/html")[-1:], cell.data("text/plain")[-1:]
            assert said.replace("'", "&#x27;") in html
            assert said in text
            assert PIXEL not in str(cell.data("application/vnd.llmkit.v1+json"))
        hostile = kernel.run("%%llm openai:hostile\nGo on.").data("text/html")[-1]
        assert "<img" not in hostile
        asked = kernel.run("%%llm -f json openai:openai-a-call-of-a-tool\nGo on.")
        assert "a call of the tool get_weather" in str(asked.outputs)
        asked = kernel.run("x = %llm -q -m google:google-an-image go on\nprint(*x.response.raw_parts[0])")
        assert asked.text == "inlineData\n"
    finally:
        kernel.close()


class TestReplay:
    async def test_parts_are_played_back(self, provider, tmp_path):
        before = len(provider.asked)
        llmkit.replay(tmp_path / "answers.sqlite")
        try:
            for _ in range(2):
                async with made_of("openai", "openai-a-call-of-a-tool") as client:
                    response = await client.generate_text([LLMMessage("user", "Go on.")])
        finally:
            llmkit.replay(mode="off")
        assert response.replayed
        assert response.raw_parts == (CALL,)
        assert "a call of the tool get_weather" in response.note
        assert len(provider.asked) == before + 1

    async def test_a_part_that_holds_a_key_is_not_recorded(self, provider, tmp_path):
        key = "sk-proj-" + "a1B2c3D4" * 5
        told = {**CALL, "function": {"name": "n", "arguments": key}}
        provider.answers["leaky"] = openai({"tool_calls": [told]}, "tool_calls", {})
        llmkit.replay(tmp_path / "answers.sqlite")
        try:
            async with made_of("openai", "leaky") as client:
                responses = [await client.generate_text([LLMMessage("user", "Go on.")]) for _ in range(2)]
        finally:
            llmkit.replay(mode="off")
        assert [len(response.raw_parts) for response in responses] == [1, 0]


def test_the_events_of_this_file_are_in_the_documented_form():
    assert Anthropic.event({"type": "ping"}) == b'event: ping\ndata: {"type": "ping"}\n\n'
