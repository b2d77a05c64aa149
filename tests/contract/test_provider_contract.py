"""What must hold for every provider, for each wire format that llmkit knows."""

from tests.support.dialects import DIALECTS, dump
from tests.support.provider_contract import ProviderContract


class TestOpenAI(ProviderContract):
    provider, model, base_path = "openai", "gpt-4o-mini", "/v1"
    dialect = DIALECTS["openai"]

    @classmethod
    def usage(cls, before, after):
        return {"prompt_tokens": before, "completion_tokens": after, "total_tokens": before + after}

    @classmethod
    def plain(cls, text, before, after):
        return dump(cls.dialect.whole(text, usage=cls.usage(before, after)))

    @classmethod
    def stream(cls, words, before, after):
        d = cls.dialect
        return [d.start(), *map(d.piece, words), d.end(usage=cls.usage(before, after))]

    @classmethod
    def refusal(cls, message):
        return dump(cls.dialect.error(400, message, "x"))


class TestAnthropic(TestOpenAI):
    provider, model, base_path = "anthropic", "claude-sonnet-5-5", ""
    dialect = DIALECTS["anthropic"]

    @classmethod
    def usage(cls, before, after):
        return {"input_tokens": before, "output_tokens": after}


class TestGoogle(TestOpenAI):
    provider, model, base_path, auth = "google", "gemini-2.5-flash", "", "x-goog-api-key"
    dialect = DIALECTS["google"]

    @classmethod
    def usage(cls, before, after):
        return {"promptTokenCount": before, "candidatesTokenCount": after, "totalTokenCount": before + after}
