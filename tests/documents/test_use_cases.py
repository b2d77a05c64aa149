"""The specification's use cases, each as a notebook cell with top-level `await`, in one real kernel."""

from __future__ import annotations

import pytest

from tests.support.kernels import Kernel

pytestmark = pytest.mark.kernel

SETUP = """
import asyncio, json
import llmkit
from llmkit import LLMMessage, LLMResponse, BaseLLMClient
client = llmkit.client("sandbox")
"""

SINGLE = """
response = await client.generate_text(
    messages=[
        LLMMessage(role="system", content="You answer questions about Python."),
        LLMMessage(role="user", content="What is a coroutine?"),
    ],
    model="gpt-4",
    temperature=0.7,
    max_tokens=500,
)
print(f"{response.model} {response.tokens_used} ${response.cost_estimate:.4f}")
assert response.cost_estimate > 0
"""

CONVERSATION = """
conversation = [LLMMessage(role="user", content="I want to learn Python.")]
first = await client.generate_text(messages=conversation, temperature=0.8)
conversation += [
    LLMMessage(role="assistant", content=first.content),
    LLMMessage(role="user", content="Which book do you recommend?"),
]
second = await client.generate_text(messages=conversation, temperature=0.8)
assert second.prompt_tokens > first.prompt_tokens
"""

STREAMING = """
text = ""
async for chunk in client.stream_text(
    messages=[LLMMessage(role="user", content="Write a short story.")], model="gpt-4", max_tokens=1000
):
    print(chunk, end="", flush=True)
    text += chunk
assert text.strip()
"""

STREAMING_CHAT = """
history = []
for line in ["What is a list?", "And a tuple?"]:
    history.append(LLMMessage(role="user", content=line))
    answer = ""
    async for chunk in client.stream_text(messages=history, temperature=0.7):
        answer += chunk
    history.append(LLMMessage(role="assistant", content=answer))
assert [m.role for m in history] == ["user", "assistant"] * 2
"""

CODE = """
response = await client.generate_text(
    messages=[
        LLMMessage(role="system", content="You write Python code."),
        LLMMessage(role="user", content="Implement quicksort as a function."),
    ],
    model="gpt-4",
    temperature=0.2,
)
assert "def " in response.content
"""

SUMMARY = """
async def summarize(text, max_length=200):
    response = await client.generate_text(
        messages=[
            LLMMessage(role="system", content=f"Summarise in at most {max_length} characters."),
            LLMMessage(role="user", content=text),
        ],
        model="gpt-3.5-turbo",
        max_tokens=max_length,
    )
    return response.content

assert await summarize("Jupyter notebooks hold code and text.", 100)
"""

SENTIMENT = """
response = await client.generate_text(
    messages=[
        LLMMessage(
            role="system",
            content="Return JSON: {'sentiment': 'positive/negative/neutral', 'confidence': 0.0-1.0}",
        ),
        LLMMessage(role="user", content="Sentiment of: this is really great, I am very satisfied!"),
    ],
    temperature=0.1,
)
assert json.loads(response.content)["sentiment"] == "positive"
"""

BATCH = """
texts = ["one", "two", "three"]
answers = await llmkit.batch([f"repeat exactly: {text}" for text in texts], client, temperature=0.3)
assert [answer.content for answer in answers] == texts
"""

CONTEXT_MANAGER = """
async with llmkit.client("sandbox") as llm:
    response = await llm.generate_text([LLMMessage(role="user", content="Hello")])
assert response.finish_reason == "stop"
"""

SAFE = """
assert await llmkit.safe_llm_call(client, [LLMMessage("user", "Hi")], model="no-such-model") is None
assert (await client.safe_generate_text([LLMMessage("user", "Hi")])).content
"""

MONITOR = """
monitor = llmkit.LLMMonitor()
response = await client.generate_text([LLMMessage("user", "Hi")])
monitor.record_request(True, response.tokens_used, response.cost_estimate, response.response_time)
assert monitor.get_metrics()["success_rate"] == 100
"""

RETRY_AND_QUEUE = """
@llmkit.rate_limit_retry(max_retries=3, base_delay=0.01)
async def ask(text):
    return await client.generate_text([LLMMessage("user", text)])

queue = llmkit.RequestQueue(max_concurrent=2)
answers = await asyncio.gather(*(queue.process_request(ask, "Hi") for _ in range(4)))
assert len(answers) == 4
"""

OWN_CLIENT = """
import openai

class Mine(BaseLLMClient):
    def __init__(self, api_key, base_url=None):
        super().__init__("mine")
        self.client = openai.AsyncOpenAI(api_key=api_key, base_url=base_url)

    async def generate_text(self, messages, **kwargs):
        sent = [{"role": m.role, "content": m.content} for m in messages]
        got = await self.client.chat.completions.create(messages=sent, model="gpt-4")
        return LLMResponse(
            content=got.choices[0].message.content,
            provider="mine",
            model=got.model,
            prompt_tokens=got.usage.prompt_tokens,
            completion_tokens=got.usage.completion_tokens,
        )

    async def stream_text(self, messages, **kwargs):
        yield (await self.generate_text(messages)).content

    async def close(self):
        await self.client.close()

llmkit.register("mine", Mine)
async with llmkit.client("mine", api_key="x", base_url=llmkit.sandbox.url("openai")) as mine:
    response = await mine.generate_text([LLMMessage("user", "Hi")])
assert response.tokens_used == response.prompt_tokens + response.completion_tokens
assert "mine" in set(llmkit.ledger.df.provider)
"""

CASES = {
    name.lower(): source
    for name, source in list(globals().items())
    if name.isupper() and name != "SETUP" and isinstance(source, str)
}


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("use-cases")
    kernel = Kernel(folder, LLMKIT_LEDGER=":memory:", LLMKIT_SANDBOX_RATE="0", LLMKIT_SANDBOX_FIRST_TOKEN="0")
    assert kernel.run(SETUP).status == "ok"
    yield kernel
    kernel.close()


@pytest.mark.parametrize("case", CASES)
def test_use_case_runs_from_a_notebook_cell(kernel, case):
    result = kernel.run(CASES[case])
    assert result.status == "ok", result.reply
