"""`render`: what a streamed answer costs in CPU, and what travels to the browser."""

from __future__ import annotations

import json
import time
from statistics import median
from typing import Any

from measure import Row, check

from llmkit.notebook.display.rich_answer import RichAnswer

ROUNDS = 7
TOKENS = 4_000
TOKENS_PER_SECOND = 80.0

_SECTION = """\
## Part {n}: what to *measure*

Take the **simplest case** first, write down what you expect, and compare it with `what happens`. Where the
two differ, there is something to learn; where they agree, go one step further. See [the notes](https://example.org/{n}).

1. Start small: one clear question.
2. Measure: what is counted can be compared.
   - tokens in, tokens out
   - seconds to the first token

| Aspect | Rule of thumb |
|---|---:|
| Length | ¾ word a token |
| Speed | {n} s |

```python
def cost(tokens: int, price: float) -> float:
    \"\"\"Price of some tokens in dollars.\"\"\"
    return tokens * price / 1_000_000  # {n}
```

The cost is $c_{{{n}}} = n_\\text{{in}} p_\\text{{in}}$, and the mean

$$
\\bar{{c}} = \\frac{{1}}{{k}} \\sum_{{i=1}}^{{k}} c_i
$$

"""


class _Wire:
    """A shell's publisher that counts what it would send."""

    def __init__(self) -> None:
        self.size = 0
        self.last: dict[str, Any] = {}

    def publish(self, data: dict[str, Any], **_: object) -> None:
        self.size += len(json.dumps(data).encode())
        self.last = data

    def clear_output(self, *, wait: bool) -> None: ...


def render(*, quick: bool) -> list[Row]:
    """Stream an answer of 4,000 tokens at 80 a second, on a clock that does not make us wait."""
    sections = "".join(_SECTION.format(n=n) for n in range(1, 40))
    pieces = [sections[start : start + 4] for start in range(0, 4 * TOKENS, 4)]
    text = "".join(pieces)
    seconds, sent = [], 0
    for turn in range((ROUNDS if quick else 2 * ROUNDS) + 1):
        start = time.process_time()
        wire = _stream(pieces, text)
        spent = time.process_time() - start
        check(wire.last["text/plain"], text, "RichAnswer")
        sent = wire.size
        if turn:
            seconds.append(spent)
    case, size = f"{TOKENS:,} tokens", len(text.encode())
    return [
        Row(benchmark="render", case=case, name="CPU", value=median(seconds) * 1e3, unit="ms"),
        Row(
            benchmark="render", case=case, name="sent, of the answer's size", value=sent / size, unit="times"
        ),
    ]


def _stream(pieces: list[str], text: str) -> _Wire:
    now, wire = 0.0, _Wire()
    answer = RichAnswer(wire, clock=lambda: now)
    answer.start("sandbox")
    for number, piece in enumerate(pieces):
        now = number / TOKENS_PER_SECOND
        answer.feed(piece)
    answer.finish(text, None, {})
    return wire
