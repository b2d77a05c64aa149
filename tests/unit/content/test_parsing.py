"""Structured output: a schema goes out by the provider's own mechanism, and the answer is read by it."""

import dataclasses
import json
import sqlite3
import warnings
import zlib
from contextlib import closing
from typing import Annotated, Required, TypedDict

import pandas as pd
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

import llmkit
from llmkit import BadResponseError, BaseLLMClient, InvalidRequestError, LLMMessage, LLMResponse
from llmkit.clients.accounting.cost_bound import cost_bound
from llmkit.clients.cassettes import replay as replaying
from llmkit.clients.registry import recorded
from llmkit.content import parsing
from llmkit.content.parsing import parse
from llmkit.content.schema import Schema, in_prompt, schema_of
from llmkit.providers.anthropic import AnthropicCodec
from llmkit.providers.codec import Request
from llmkit.providers.google import GoogleCodec
from llmkit.providers.openai_chat import OpenAICodec
from llmkit.sandbox.dialects.formats import anthropic_problem, openai_problem
from tests.support.callers import opened, read

QUESTION = [LLMMessage("user", "Name a city")]
CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer", "minimum": 1}},
    "required": ["city", "people"],
}
CODECS = {"openai": OpenAICodec(), "anthropic": AnthropicCodec(), "google": GoogleCodec()}


@dataclasses.dataclass
class Place:
    city: str
    people: int


class PlaceDict(TypedDict):
    city: str
    people: int


class Journey(TypedDict, total=False):
    stops: Required[list[PlaceDict]]
    guide: PlaceDict | None
    days: Annotated[int, pydantic.Field(ge=1)]


class PlaceModel(pydantic.BaseModel):
    city: str
    people: int = pydantic.Field(ge=1, description="Inhabitants")


class Tree(pydantic.BaseModel):
    name: str
    children: list["Tree"]


def body(protocol, schema, **options):
    request = Request(messages=tuple(QUESTION), model="m", schema=schema_of(schema), **options)
    return CODECS[protocol].encode(request).body


def system(protocol, schema, **options):
    sent = body(protocol, schema, **options)
    if protocol == "openai":
        return [m["content"] for m in sent["messages"] if m["role"] == "system"]
    return [sent["system"]] if "system" in sent else []


class TestSchemas:
    @pytest.mark.parametrize("given", [CITY, Place, PlaceDict, PlaceModel])
    def test_dicts_and_classes_are_schemas(self, given):
        found = schema_of(given)
        assert found.json["required"] == ["city", "people"]
        assert found.json["properties"]["people"]["type"] == "integer"

    def test_dictionaries_may_be_nested_and_have_optional_names(self):
        found = schema_of(Journey).json
        assert found["required"] == ["stops"]
        assert found["properties"]["days"]["minimum"] == 1
        assert found["$defs"]["PlaceDict"]["required"] == ["city", "people"]

    def test_they_are_called_after_their_class(self):
        assert schema_of(Place).name == "Place"
        assert schema_of({"title": "Städte & Orte!", "type": "object"}).name == "St_dte___Orte"
        assert schema_of(list[Place]).json["items"]
        assert schema_of(schema_of(Place)) == schema_of(Place)

    def test_any_json_object_and_none(self):
        assert schema_of("json") == schema_of(True) == Schema()
        assert schema_of(None) is schema_of(False) is None

    @pytest.mark.parametrize("given", ["Place", 42, Place("Rome", 1), [CITY], object()])
    def test_anything_else_is_refused(self, given):
        with pytest.raises(InvalidRequestError, match="which is not a schema"):
            schema_of(given)

    def test_a_wrong_schema_is_refused_by_its_place(self):
        with pytest.raises(InvalidRequestError, match=r"\$\.properties\.a\.type: 'text' is not valid"):
            schema_of({"properties": {"a": {"type": "text"}}})

    def test_a_class_without_a_schema_is_refused(self):
        class Odd:
            pass

        with pytest.raises(InvalidRequestError, match="Cannot create a JSON schema from Odd"):
            schema_of(Odd)

    async def test_a_mistake_is_reported_before_anything_is_sent(self, protocol, server, recorder):
        async with opened(protocol, server) as client:
            with pytest.raises(InvalidRequestError, match="not a schema"):
                await client.generate_text(QUESTION, schema=42)
        assert not server.requests

    def test_the_prompt_goes_behind_the_last_system_message(self):
        talk = [LLMMessage("system", "Be brief."), *QUESTION]
        changed = in_prompt(talk, Schema(CITY))
        assert [m.role for m in changed] == ["system", "user"]
        assert changed[0].content.startswith("Be brief.\n\nAnswer with JSON")
        assert json.dumps(CITY, separators=(",", ":")) in changed[0].content
        assert talk[0].content == "Be brief."


class TestMechanisms:
    def test_openai_has_a_strict_response_format(self):
        assert body("openai", CITY)["response_format"] == {
            "type": "json_schema",
            "json_schema": {
                "name": "answer",
                "schema": {**CITY, "additionalProperties": False},
                "strict": True,
            },
        }
        assert not system("openai", CITY)

    def test_anthropic_has_an_output_config_without_bounds(self):
        sent = body("anthropic", CITY, extra={"output_config": {"effort": "low"}})["output_config"]
        assert sent["effort"] == "low"
        assert sent["format"]["type"] == "json_schema"
        assert sent["format"]["schema"]["properties"]["people"] == {
            "type": "integer",
            "description": "(minimum: 1)",
        }
        assert sent["format"]["schema"]["additionalProperties"] is False

    def test_gemini_has_a_json_schema_in_its_generation_config(self):
        config = body("google", CITY)["generationConfig"]
        assert config["responseMimeType"] == "application/json"
        assert config["responseJsonSchema"] == CITY

    def test_the_former_sdk_asks_in_words(self):
        codec = GoogleCodec(schemas=False)
        sent = codec.encode(Request(messages=tuple(QUESTION), model="m", schema=Schema(CITY))).body
        assert sent["generationConfig"] == {"responseMimeType": "application/json"}
        assert "JSON schema" in sent["systemInstruction"]["parts"][0]["text"]

    def test_any_json_object_is_asked_for_in_the_providers_json_mode(self):
        assert body("openai", "json")["response_format"] == {"type": "json_object"}
        assert "JSON object" in system("openai", "json")[0]  # OpenAI insists on the word
        assert "JSON object" in system("anthropic", "json")[0]
        assert "output_config" not in body("anthropic", "json")
        assert body("google", "json")["generationConfig"] == {"responseMimeType": "application/json"}

    @pytest.mark.parametrize("given", [list[Place], Tree, {"anyOf": [CITY, {"type": "null"}]}])
    def test_openai_is_asked_in_words_for_what_is_no_plain_object(self, given):
        assert "response_format" not in body("openai", given)
        assert "JSON schema" in system("openai", given)[0]

    @pytest.mark.parametrize(
        "schema",
        [
            {**CITY, "required": ["city"]},
            {**CITY, "additionalProperties": {"type": "string"}},
            {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}, {"minLength": 1}]}}},
        ],
    )
    def test_openai_is_not_strict_where_strictness_would_say_something_else(self, schema):
        sent = body("openai", schema)["response_format"]["json_schema"]
        assert (sent["strict"], sent["schema"]) == (False, schema)

    def test_anthropic_is_asked_in_words_for_objects_with_free_names(self):
        schema = {"type": "object", "additionalProperties": {"type": "integer"}}
        assert "output_config" not in body("anthropic", schema)
        assert "JSON schema" in system("anthropic", schema)[0]

    @pytest.mark.parametrize("given", [CITY, Place, PlaceModel, {"type": "object", "properties": {"tree": {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "string", "default": "x"}}}}}}])  # fmt: skip  # noqa: E501
    def test_what_goes_out_is_what_the_providers_accept(self, given):
        before = json.dumps(schema_of(given).json)
        strict = body("openai", given)["response_format"]["json_schema"]
        assert strict["strict"]
        assert openai_problem(strict["schema"], strict=True) is None
        assert anthropic_problem(body("anthropic", given)["output_config"]["format"]["schema"]) is None
        assert json.dumps(schema_of(given).json) == before

    @pytest.mark.parametrize(
        ("protocol", "name"), [("openai", "response_format"), ("google", "response_schema")]
    )
    def test_two_formats_at_once_are_refused(self, protocol, name):
        with pytest.raises(InvalidRequestError, match=f"schema and {name} are given"):
            body(protocol, CITY, extra={name: {}})


class TestCalls:
    @pytest.mark.product
    @pytest.mark.parametrize("given", [CITY, PlaceModel, Place, list[Place]])
    async def test_the_answer_fits_the_schema_whoever_gives_it(self, kind, server, recorder, given):
        async with opened(kind, server) as client:
            answer = await client.generate_text(QUESTION, schema=given)
            text = "".join(await read(client.stream_text(QUESTION, schema=given)))
        assert text == answer.content
        found = parse(answer.content, "json", given)
        assert (found[0] if isinstance(found, list) else found).keys() == {"city", "people"}

    async def test_any_json_object_will_do(self, kind, server, recorder):
        async with opened(kind, server) as client:
            answer = await client.generate_text(QUESTION, schema="json")
        assert isinstance(parse(answer.content, "json", "json"), dict)

    @pytest.mark.parametrize(
        ("protocol", "name"),
        [("openai", "response_format"), ("anthropic", "output_config"), ("google", "responseJsonSchema")],
    )
    async def test_a_server_that_refuses_it_is_asked_in_words_after_one_warning(
        self, protocol, name, server, recorder
    ):
        server.fail_next(f"refuse={name}", times=9)
        async with opened(protocol, server) as client:
            with pytest.warns(
                UserWarning, match=f"sandbox does not support {name}: the schema is in the prompt"
            ):
                first = await client.generate_text(QUESTION, schema=CITY)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                again = await client.generate_text(QUESTION, schema=CITY)
        assert parse(first.content, "json", CITY) == parse(again.content, "json", CITY)
        assert len(server.requests) == 3
        assert "JSON schema" in json.dumps(server.requests[-1].body)

    async def test_the_words_of_a_server_that_knows_json_mode_only_are_understood(self, server, recorder):
        server.fail_next("400;message=This response_format type is unavailable now")
        async with opened("openai", server) as client:
            with pytest.warns(UserWarning, match="the schema is in the prompt"):
                answer = await client.generate_text(QUESTION, schema=CITY)
        assert parse(answer.content, "json", CITY)

    async def test_a_plain_client_is_asked_in_words(self, recorder):
        class Plain(BaseLLMClient):
            async def generate_text(self, messages, model=None, **kwargs):
                return LLMResponse(f"{kwargs} {messages[0].role} {messages[0].content}", "mine", "m")

            async def stream_text(self, messages, model=None, **kwargs):
                yield f"{kwargs} {messages[0].role} {messages[0].content}"

            async def close(self):
                pass

        client = recorded(Plain("mine"))
        answer = await client.generate_text(QUESTION, schema=CITY)
        assert answer.content.startswith("{} system Answer with JSON")
        assert "".join(await read(client.stream_text(QUESTION, schema=CITY))) == answer.content

    async def test_a_fallback_is_called_by_its_own_mechanism(self, server, recorder):
        server.fail_next("401")
        async with (
            opened("anthropic", server) as other,
            opened("openai", server, fallback=[other]) as client,
        ):
            answer = await client.generate_text(QUESTION, schema=CITY)
        assert parse(answer.content, "json", CITY)
        assert "output_config" in server.requests[-1].body

    def test_the_bound_covers_the_schema(self):
        def most(schema):
            return cost_bound(
                Request(messages=tuple(QUESTION), model="m", schema=schema), "openai"
            ).input_tokens

        assert most(Schema(CITY)) > most(Schema()) > most(None)

    async def test_the_schema_belongs_to_a_recorded_request(self, protocol, server, recorder, tmp_path):
        llmkit.replay(tmp_path / "demo.replay")
        try:
            async with opened(protocol, server) as client:
                answers = [
                    await client.generate_text(QUESTION, schema=schema)
                    for schema in (CITY, dict(CITY), None, Place, CITY)
                ]
        finally:
            replaying._chosen = None
        assert [one.replayed for one in answers] == [False, True, False, False, True]
        with closing(sqlite3.connect(tmp_path / "demo.replay")) as file:
            requests = [zlib.decompress(row[0]) for row in file.execute("SELECT request FROM recordings")]
        assert sum(b"people" in one for one in requests) == 2


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)
OBJECTS = st.dictionaries(st.text(max_size=5), JSON_VALUES, min_size=1, max_size=4)
CHATTER = st.text(st.characters(exclude_characters='{}[]`~"\\', exclude_categories=("Cs", "Cc")), max_size=40)


class TestJSON:
    @given(JSON_VALUES)
    def test_what_is_json_is_read(self, value):
        assert parse(json.dumps(value), "json") == value

    @given(OBJECTS | st.lists(OBJECTS, min_size=1, max_size=3), CHATTER, CHATTER, st.sampled_from(["```json\n{}\n```", "~~~\n{}\n~~~", "   ```JSON\n   {}\n   ```", "{}"]))  # fmt: skip  # noqa: E501
    def test_words_and_fences_around_it_do_not_matter(self, value, before, after, around):
        text = f"{before}\n{around.replace('{}', json.dumps(value), 1)}\n{after}"
        assert parse(text, "json") == value

    @given(st.text(max_size=200), st.sampled_from(["json", "df", "code", "text", "md"]))
    def test_any_text_is_read_or_refused_in_our_own_words(self, text, form):
        found, refusal = None, None
        try:
            found = parse(text, form)
        except BadResponseError as error:
            refusal = error
        assert refusal is None or (refusal.partial == text and len(str(refusal)) <= 500)
        assert form not in {"text", "md"} or found == text

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("Sorry.", "not JSON: it contains no object and no list"),
            ("", "not JSON"),
            ('{"a": 1,}', "line 1, column [89]"),
            ('{"a": NaN}', "NaN is not JSON"),
            ("{'a': 1}", "line 1, column 2"),
            ('```json\n{"a": 1,\n', "line 1, column [89]"),
            ("[" * 100_000, "JSON"),
        ],
    )
    def test_what_is_no_strict_json_is_refused_by_its_place(self, text, why):
        with pytest.raises(BadResponseError, match=why):
            parse(text, "json")

    def test_the_longest_of_several_is_taken(self):
        assert parse('See [1] and {"a": [2, 3]} and {}.', "json") == {"a": [2, 3]}

    def test_the_one_that_fits_is_taken(self):
        text = 'Instead of\n```json\n{"city": 5}\n```\nit is\n```json\n{"city": "Rome", "people": 3}\n```'
        assert parse(text, "json", CITY) == {"city": "Rome", "people": 3}

    @pytest.mark.parametrize(
        ("value", "place"),
        [
            ({"city": "Rome"}, r"\$: 'people' is a required property"),
            ({"city": "Rome", "people": 0}, r"\$\.people: 0 is less than the minimum of 1"),
            ({"city": ["x" * 9999], "people": 2}, r"\$\.city: \['xxx"),
        ],
    )
    def test_what_does_not_fit_is_refused_by_its_path(self, value, place):
        with pytest.raises(BadResponseError, match=place) as caught:
            parse(json.dumps(value), "json", CITY)
        assert len(str(caught.value)) <= 500

    def test_a_reference_is_never_loaded_from_the_net(self):
        with pytest.raises(InvalidRequestError, match=r"refers to 'https://example.com/x.json'"):
            parse("{}", "json", {"$ref": "https://example.com/x.json"})

    def test_json_mode_wants_an_object(self):
        with pytest.raises(BadResponseError, match=r"\$: \[1\] is not of type 'object'"):
            parse("[1]", "json", "json")

    def test_a_repair_names_what_is_wrong(self):
        with pytest.raises(BadResponseError) as caught:
            parse('{"city": "Rome"}', "json", CITY)
        message = parsing.repair_message(caught.value, '{"city": "Rome"}')
        assert "'people' is a required property" in message
        assert message.endswith('{"city": "Rome"}')
        assert len(parsing.repair_message(caught.value, "x" * 10**6)) < 21_000


class TestFrames:
    @pytest.mark.parametrize(
        "text",
        [
            '[{"city": "Rome", "people": 3}, {"city": "Oslo", "people": 1}]',
            '{"rows": [{"city": "Rome", "people": 3}, {"city": "Oslo", "people": 1}]}',
            '{"city": ["Rome", "Oslo"], "people": [3, 1]}',
            '[["city", "people"], ["Rome", 3], ["Oslo", 1]]',
            "Here:\n```csv\ncity,people\nRome,3\nOslo, 1\n```\nThat is it [1].",
            "```tsv\ncity\tpeople\nRome\t3\nOslo\t1\n```",
            "| city | people |\n|---|--:|\n| **Rome** | 3 |\n| `Oslo` | 1 |\n\nDone.",
            "city | people\n--- | ---\nRome | 3\nOslo | 1",
            "city,people\nRome,3\nOslo,1",
            '```json\n[{"city": "Rome", "people": 3}, {"city": "Oslo", "people": 1}]\n```',
            "After [1]:\n\n| city | people |\n|---|---|\n| Rome | 3 |\n| Oslo | 1 |\n\n[1] {}",
            'So [1] says: [{"city": "Rome", "people": 3}, {"city": "Oslo", "people": 1}].',
        ],
    )
    def test_tables_in_many_forms_are_one_frame(self, text):
        found = parse(text, "df", Place)
        expected = pd.DataFrame({"city": ["Rome", "Oslo"], "people": [3, 1]})
        pd.testing.assert_frame_equal(found, expected)

    def test_columns_have_sensible_types(self):
        text = (
            "```csv\nwhole,some,number,truth,day,moment,name,code,big,none\n"
            '1,1,1.5,true,2026-01-02,2026-01-02T10:00:00Z,a,007,"1,200",\n'
            "2,,2e3,FALSE,2026-11-22,2026-01-02T10:00:00Z,1b,12,3,NA\n```"
        )
        found = parse(text, "df")
        kinds = {name: kind.name.partition("[")[0] for name, kind in found.dtypes.items()}
        assert kinds == {
            "whole": "int64",
            "some": "Int64",
            "number": "float64",
            "truth": "bool",
            "day": "datetime64",
            "moment": "datetime64",
            "name": found["name"].dtype.name,
            "code": found["name"].dtype.name,
            "big": "int64",
            "none": "object",
        }
        assert found["big"].tolist() == [1200, 3]
        assert found["code"].tolist() == ["007", "12"]
        assert str(found["moment"].dt.tz) == "UTC"

    def test_names_that_look_like_an_exponent_stay_text(self):
        assert parse("```csv\nroom,people\nE5,1\ne6,2\n```", "df")["room"].tolist() == ["E5", "e6"]

    def test_dates_in_json_are_dates_too(self):
        assert parse('[{"d": "2026-01-02"}, {"d": null}]', "df")["d"].dt.year.tolist()[0] == 2026

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("Sorry.", "no table"),
            ("Sorry, I can not.\nPlease, ask again.", "no table"),
            ("As [1] and [2, 3] say, no.", "no table"),
            ("42", "no table"),
            ("| a | b |\n|---|---|\n| 1 |\n", "Row 1 of the table has 1 cells, but the header has 2"),
            ("```csv\na,a\n1,2\n```", "two columns named 'a'"),
            ("```csv\n```", "table has no header"),
            ('{"a": [1], "b": [1, 2]}', "differ in length"),
            ('[{"a": 1}, 2]', "different kinds"),
        ],
    )
    def test_what_is_no_table_is_refused(self, text, why):
        with pytest.raises(BadResponseError, match=why):
            parse(text, "df")

    @pytest.mark.parametrize(
        "text",
        [
            '[{"city": "Rome", "people": 3}, {"city": "Oslo", "people": "many"}]',
            "city,people\nRome,3\nOslo,many",
        ],
    )
    def test_a_row_that_does_not_fit_is_named(self, text):
        with pytest.raises(BadResponseError, match=r"\$\[\d\]\.people: "):
            parse(text, "df", Place)

    @pytest.mark.parametrize("given", [Place, list[Place], PlaceModel, Tree])
    def test_rows_are_asked_for_inside_an_object_that_all_providers_take(self, given):
        found = parsing.wanted("df", given)
        assert found.json["properties"]["rows"]["type"] == "array"
        assert parsing.wanted("df", found).json == found.json
        assert "response_format" in body("openai", found)

    async def test_a_frame_comes_back_from_every_provider(self, kind, server, recorder):
        async with opened(kind, server) as client:
            answer = await client.generate_text(QUESTION, schema=parsing.wanted("df", Place))
            talk = [LLMMessage("system", parsing.words("df")), *QUESTION]
            free = await client.generate_text(talk)
        assert list(parse(answer.content, "df", Place).columns) == ["city", "people"]
        assert parse(free.content, "df").shape == (1, 2)


class TestCode:
    @pytest.mark.parametrize(
        ("text", "language", "code"),
        [
            ("```python\na = 1\n```\n```py\nb\n```", None, "a = 1\nb"),
            ("```bash\nls\n```\n```sql\nselect\n```", None, "ls"),
            ("```bash\nls\n```\n```SQL\nselect\n```", "sql", "select"),
            ("1. Do\n\n   ```python\n   if a:\n       b\n   ```", None, "if a:\n    b"),
            ("````python\n```\nnested\n```\n````", None, "```\nnested\n```"),
            ("```python title=x\na\n", None, "a"),
            ("```{python}\na\n```", None, "a"),
            ("import os\nprint(os.name)\n", None, "import os\nprint(os.name)"),
        ],
    )
    def test_code_is_what_stands_in_the_fences(self, text, language, code):
        assert parse(text, "code", language=language) == code

    @pytest.mark.parametrize("text", ["Hello", "Sorry, I can not.", "", "```sql\nx\n```"])
    def test_an_answer_without_code_is_refused(self, text):
        with pytest.raises(BadResponseError, match="no code block with python code"):
            parse(text, "code", language="python")

    async def test_the_words_that_ask_for_code_bring_code(self, protocol, server, recorder):
        async with opened(protocol, server) as client:
            answer = await client.generate_text([LLMMessage("system", parsing.words("code")), *QUESTION])
        assert compile(parse(answer.content, "code"), "answer", "exec")
