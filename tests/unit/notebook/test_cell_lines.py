"""Lines of `%llm` and `%%llm`: what is a model, a command or a prompt, and what a value means."""

import pytest
from IPython.core.error import UsageError

from llmkit.content.template import CellError
from llmkit.core.naming import is_model
from llmkit.notebook.cell.input_transformer import keep_questions
from llmkit.notebook.cell.parser import CellRequest, parse_cell, parse_line

MODELS = frozenset({"sonnet", "gpt", "openai:gpt-4o", "sandbox"})


def parsed(line):
    return parse_line(line, MODELS.__contains__)


class TestAModelInFrontOfAPrompt:
    @pytest.mark.parametrize(
        ("line", "ask"),
        [
            ("sonnet name a river", CellRequest(prompt="name a river", model="sonnet")),
            ("sonnet   keep  blanks", CellRequest(prompt="keep  blanks", model="sonnet")),
            ("openai:gpt-4o hi", CellRequest(prompt="hi", model="openai:gpt-4o")),
            ("sonnet,gpt hi", CellRequest(prompt="hi", model="sonnet,gpt")),
            ("-T 0 sonnet hi", CellRequest(prompt="hi", model="sonnet", temperature=0.0)),
            ("sonnet -T 0 hi -q", CellRequest(prompt="hi -q", model="sonnet", temperature=0.0)),
            ("sonnet -- -q is an option", CellRequest(prompt="-q is an option", model="sonnet")),
            ("sonnet fix this", CellRequest(prompt="fix this", model="sonnet")),
            ("-m gpt sonnet about love", CellRequest(prompt="sonnet about love", model="gpt")),
            ("-- sonnet about love", CellRequest(prompt="sonnet about love")),
            ("sonnets about love", CellRequest(prompt="sonnets about love")),
            ("sonnet, please", CellRequest(prompt="sonnet, please")),
            ("sonnet: what is it?", CellRequest(prompt="sonnet: what is it?")),
            ("name the sonnet", CellRequest(prompt="name the sonnet")),
        ],
    )
    def test_is_asked_as_in_a_cell(self, line, ask):
        assert parsed(line) == ask

    @pytest.mark.parametrize("line", ["sonnet", "sonnet -q", "sonnet,gpt", "-T 0 sonnet"])
    def test_is_no_prompt_of_its_own(self, line):
        with pytest.raises(CellError, match=r"There is no prompt for sonnet"):
            parsed(line)

    def test_helps(self):
        assert parsed("sonnet -h").help

    @pytest.mark.parametrize(
        ("line", "meant"),
        [
            ("@sonnet name a river", "%llm sonnet …"),
            ("OpenAI:GPT-4o name a river", "%llm openai:gpt-4o …"),
            ("sonnet, gpt name a river", "%llm sonnet,gpt …"),
            ("-q @sonnet name a river", "%llm sonnet …"),
        ],
    )
    def test_that_is_addressed_in_another_way_is_not_sent_to_the_default(self, line, meant):
        with pytest.raises(CellError) as caught:
            parsed(line)
        assert meant in str(caught.value)
        assert parsed(f"-- {line}").prompt == line

    @pytest.mark.parametrize(
        "line", ["Sonnet about autumn", "sonnet, please", "@home the lamp is broken", "sonnet, poem, or ode?"]
    )
    def test_is_not_every_word_that_looks_like_one(self, line):
        assert parsed(line) == CellRequest(prompt=line)


class TestAnOptionInTheWrongPlace:
    @pytest.mark.parametrize(
        ("line", "meant"),
        [
            ("-t trip -n Where is Rome?", "-ttrip -n"),
            ("sonnet -t trip --new Where is Rome?", "-ttrip --new"),
            ("Where is Rome? -m sonnet", "%llm -m sonnet …"),
            ("Where is Rome? --model openai:gpt-4o", "%llm --model openai:gpt-4o …"),
        ],
    )
    def test_is_refused_with_the_right_one(self, line, meant):
        with pytest.raises(CellError) as caught:
            parsed(line)
        assert meant in str(caught.value)
        assert parsed(f"-- {line}").prompt == line

    @pytest.mark.parametrize(
        "line", ["use -m sonnet in argparse", "what is -n", "-ttrip what is -n", "what does it do with -m"]
    )
    def test_is_only_one_that_was_surely_meant(self, line):
        assert parsed(line).prompt == line.removeprefix("-ttrip ")


class TestALineThatIsMeantAsACommand:
    @pytest.mark.parametrize(
        "line",
        [
            "budgett 5", "Budget 5", "budget=5", "bugdet daily=5", "budget 5 USD",
            "budget $5 per day", "buget off", "modle sonnet", "model=sonnet", "model sonnet please",
            "models gpt sonnet", "modles", "fix -m x", "fxi -m x", "fix --dry-run", "Fix",
            "explain -v df", "cost --bogus", "cots day", "cost by model", "costs day",
            "dashboard by day", "dashbord", "key openai sk-1", "kye openai",
            "key Anthropic now please", "keys openai", "thred review", "thread show a b",
            "thread rename a", "threads delete a", "alias remove a b", "ailas x=y",
            "alias fast openai:gpt=4", "repaly auto", "replay on", "replay auto and more",
            "tgas a=b", "tags project", "exprot notes.md", "export notes.txt", "export -o x",
            "doctor openai", "doctor --all", "last 3", "last all", "chat -c sonnet", "chatt review",
            "help -m now", "trust example.com", "trust revoke a b", "-m gpt fix", "-q cost day",
            "-T 0 doctor", "budget 5 euros", "budget daily 5", "budget per_notebook 2", "budget 5 --daily",
            "model = sonnet", "alias fast openai:gpt-4o", "thread review show",
            "replay record demo.replay", "trust http://host x", "kee openai", "temperature",
            "temperature 0.5", "max_tokens=200", "effort high", "compare sonnet,gpt hi", "ask sonnet,gpt hi",
        ],
    )  # fmt: skip
    def test_is_refused_with_the_way_out(self, line):
        with pytest.raises(CellError) as caught:
            parsed(line)
        assert "--" in str(caught.value)
        assert "\n" not in str(caught.value)
        forced = parsed(f"-- {line}")
        assert forced.prompt == line

    @pytest.mark.parametrize(
        "line",
        [
            "name three rivers", "model the data", "key points of the text",
            "fix this sentence: he go home", "Fix this sentence: he go home",
            "models of computation", "cost of living in Oslo", "costs of war",
            "key takeaways: one line", "budget for a family of four", "budget 5 people",
            "last words of Goethe", "thread safety in Python", "explain recursion",
            "Explain -1 as an exponent", "help me write a letter", "tags of HTML",
            "export controls", "replay it slowly", "alias Smith and his model", "trust me",
            "chat about cats", "doctor who?", "dashboard or report, which one?",
            "what does -m do in argparse", "x=5 what is 2x?", "a=1, b=2: add",
            "fixed points of cos", "list planets", "salt lakes of Chile",
            "Modal logic in three lines", "key changes in music", "trust in science",
            "tag clouds explained", "temperature of the sun", "compare sonnets, odes", "effort counts",
            "hey openai", "compare cats,dogs", "Claude Monet in one line", "keep google out",
        ],
    )  # fmt: skip
    def test_a_prompt_stays_a_prompt(self, line):
        assert parsed(line) == CellRequest(prompt=line)

    def test_a_family_of_models_gets_the_names_of_its_models(self):
        with pytest.raises(CellError, match=r"Did you mean anthropic:claude-.* A prompt goes after --"):
            parsed("claude name three rivers")
        assert parsed("-- claude name three rivers").prompt == "claude name three rivers"

    def test_a_key_on_the_line_is_not_repeated(self):
        key = "sk-proj-" + "a1B2" * 10
        for line in (f"key openai {key}", f"kye openai {key}", f"key {key} openai"):
            with pytest.raises(CellError) as caught:
                parsed(line)
            assert key not in str(caught.value)


class TestValuesAsTheyAreTyped:
    @pytest.mark.parametrize(
        ("typed", "path"),
        [
            (r"C:\Users\me\plot.png", r"C:\Users\me\plot.png"),
            (r'"C:\Users\me\my plot.png"', r"C:\Users\me\my plot.png"),
            (r"'C:\Users\me\my plot.png'", r"C:\Users\me\my plot.png"),
            (r"C:\My\ Docs\new.png", r"C:\My Docs\new.png"),
            (r'"C:\data\"', "C:\\data\\"),
            (r"\\server\share\a.png", r"\\server\share\a.png"),
            (r'"\\server\my share\a.png"', r"\\server\my share\a.png"),
            (r"..\data\new.png", r"..\data\new.png"),
            (r"data\run.csv", r"data\run.csv"),
            ("C:/Users/me/plot.png", "C:/Users/me/plot.png"),
            ("it's.txt", "it's.txt"),
            ("it's.that's.txt", "it's.that's.txt"),
            ('"it\'s mine.txt"', "it's mine.txt"),
            (r"my\ notes.txt", "my notes.txt"),
            ("'my notes.txt'", "my notes.txt"),
            (r"it\'s.txt", "it's.txt"),
            (r"say\"hi\".txt", 'say"hi".txt'),
            ("~/notes.txt", "~/notes.txt"),
        ],
    )
    def test_a_path_is_what_was_meant(self, typed, path):
        assert parse_line(f"-a {typed} what's this?") == CellRequest(
            prompt="what's this?", attachments=(path,)
        )
        assert parse_line(f"--attach={typed} what's this?").attachments == (path,)
        assert parse_cell(f"-a {typed}", "p").attachments == (path,)
        assert parse_cell(f"-q -a {typed} -T 0", "p").temperature == 0.0

    def test_a_backslash_at_the_end_of_the_line_stays(self):
        assert parse_cell("-a C:\\data\\", "p").attachments == ("C:\\data\\",)

    @pytest.mark.parametrize(
        ("typed", "value"),
        [
            ('stop=["END","STOP"]', ["END", "STOP"]),
            ('stop=["a", "b c", "it\'s"]', ["a", "b c", "it's"]),
            ('stop={"a": 1, "b": [true, null]}', {"a": 1, "b": [True, None]}),
            ('stop=["\\n", "say \\"hi\\""]', ["\n", 'say "hi"']),
            ("stop=[]", []),
            ('stop="1"', "1"),
            ('stop="\\n"', "\n"),
            ('stop="a b"', "a b"),
            ('stop=""', ""),
            ("'stop=[1, 2]'", [1, 2]),
            ("stop='[1, 2]'", [1, 2]),
            ('"stop=[1, 2]"', [1, 2]),
            ("stop=true", True),
            ("stop=True", True),
            ("stop=False", False),
            ('stop="two words"', "two words"),
            ("stop='\"7\"'", "7"),
            ("stop=-0.5", -0.5),
            ("stop=it's", "it's"),
            ("stop=C:\\a", "C:\\a"),
        ],
    )
    def test_a_parameter_is_what_was_meant(self, typed, value):
        wanted = CellRequest(prompt="Go on.", params=(("stop", value),))
        assert parse_line(f"-p {typed} Go on.") == parse_cell(f"-p {typed}", "Go on.") == wanted
        assert parse_cell(f"--param={typed} -q", "p").params == (("stop", value),)

    @pytest.mark.parametrize(
        "typed",
        [
            "stop=['a','b']",
            "stop=[END]",
            'stop=["a"',
            "stop={a:1}",
            "stop=[1,2],",
            "stop=[NaN]",
            "stop={'a': 1}",
        ],
    )
    def test_what_looks_like_json_and_is_none_is_refused(self, typed):
        for parse in (lambda: parse_line(f"-p {typed} hi"), lambda: parse_cell(f"-p {typed}", "p")):
            with pytest.raises(CellError, match=r"looks like JSON but is invalid|unclosed quote"):
                parse()

    @pytest.mark.parametrize("line", ["-s don't be rude", "-a 'my notes.txt what", '-a "x', '-s say"hi now'])
    def test_a_quote_that_never_ends_is_refused(self, line):
        with pytest.raises(CellError, match="unclosed quote"):
            parse_line(line)


class TestWhatNamesAModel:
    @pytest.mark.parametrize(
        "word",
        [
            "sonnet",
            "gpt",
            "openai:gpt-4o",
            "ollama:llama3.3",
            "gpt-4o-mini",
            "o3-mini",
            "claude-opus-4-1",
            "sandbox",
        ],
    )
    def test_a_name_that_can_be_nothing_else(self, word):
        assert is_model(word)

    @pytest.mark.parametrize(
        "word",
        [
            "google",
            "together",
            "sonnets",
            "gpt-like",
            "note:this",
            "openai:",
            "gpt-4's",
            "o1",
            "sonnet,",
            "",
            "10:30",
        ],
    )
    def test_a_word_of_a_prompt_is_none(self, word):
        assert not is_model(word)


class TestWhatIPythonWouldKeepToItself:
    @pytest.mark.parametrize("line", ["%%llm -h", "%%llm --help\n", "%%llm", "%%llm sonnet\n"])
    def test_a_cell_magic_without_lines_below_reaches_the_magic(self, line):
        (changed,) = keep_questions([line])
        assert changed.startswith("get_ipython().run_cell_magic('llm', ")
        assert changed.endswith(", '\\n')\n")

    @pytest.mark.parametrize(
        "above", ["# a comment\n", "\n# a comment\n", "x = 1\n", "%matplotlib inline\n", "# one\n# two\n\n"]
    )
    def test_a_cell_magic_below_other_lines_gets_a_sentence_that_helps(self, above):
        with pytest.raises(UsageError, match="%%llm must be the first line of its cell"):
            keep_questions([*above.splitlines(keepends=True), "%%llm -q\n", "Hi\n"])

    @pytest.mark.parametrize(
        "cell",
        ["%%time\n%%llm\nHi", 'x = """\n%%llm\n"""\n', "# %%llm\nx = 1\n", "%%llm\nHi\n%%llm\n"],
    )
    def test_other_cells_stay_as_they_are(self, cell):
        lines = cell.splitlines(keepends=True)
        assert keep_questions(list(lines)) == lines

    def test_a_terminal_waits_for_the_lines_below(self):
        assert keep_questions.has_side_effects
