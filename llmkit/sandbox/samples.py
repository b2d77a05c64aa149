"""The texts that the sandbox answers with."""

from __future__ import annotations

OVERVIEW = """\
# {title}

You asked about **{topic}**. This answer was put together by the llmkit sandbox on your own machine: \
no model was called, and it comes in the format a model's answer would have.

## The main points

1. **Start small.** One clear question brings a better answer than three at once.
2. **Measure.** What is counted can be compared; the cost of a call is a number, too.
3. **Repeat safely.** The same prompt gives the same answer here, so a notebook can be run again.

| Aspect | What to look at | Rule of thumb |
|---|---|---|
| Length | tokens in, tokens out | 1 token ≈ ¾ word |
| Speed | time to the first token | below 1 s feels instant |
| Cost | price per million tokens | output costs most |

## In code

```python
def cost(tokens: int, price_per_million: float) -> float:
    \"\"\"Price of some tokens in dollars.\"\"\"
    return tokens * price_per_million / 1_000_000


print(f"${{cost(1_500, 2.50):.6f}}")
```

## In a formula

The cost of a call is $c = n_\\text{{in}}\\,p_\\text{{in}} + n_\\text{{out}}\\,p_\\text{{out}}$, \
and the mean over $k$ calls is

$$
\\bar{{c}} = \\frac{{1}}{{k}} \\sum_{{i=1}}^{{k}} c_i
$$

Ask a real model for more about {topic}: the same code works with a key.
"""

PROSE = (
    "is best understood by a small example, because an example can be checked. "
    "Take the simplest case first, write down what you expect, and compare it with what happens. "
    "Where the two differ, there is something to learn; where they agree, go one step further. "
    "In the end a few plain rules remain, and they explain most of what can be seen in practice."
)
"""What is said of any topic, behind its name, as long as need be."""

QUICKSORT = '''\
def quicksort(values: list[int]) -> list[int]:
    """Return the values in ascending order."""
    if len(values) <= 1:
        return values
    pivot, *rest = values
    smaller = [value for value in rest if value < pivot]
    larger = [value for value in rest if value >= pivot]
    return [*quicksort(smaller), pivot, *quicksort(larger)]


print(quicksort([3, 1, 4, 1, 5, 9, 2, 6]))'''

FIBONACCI = '''\
def fibonacci(n: int) -> int:
    """Return the n-th Fibonacci number, counted from 0."""
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


print([fibonacci(n) for n in range(10)])'''

PRIMES = '''\
def primes(limit: int) -> list[int]:
    """Return the prime numbers below a limit, by the sieve of Eratosthenes."""
    sieve = [True] * limit
    for n in range(2, int(limit**0.5) + 1):
        if sieve[n]:
            sieve[n * n :: n] = [False] * len(sieve[n * n :: n])
    return [n for n in range(2, limit) if sieve[n]]


print(primes(50))'''

FACTORIAL = '''\
def factorial(n: int) -> int:
    """Return n! for n >= 0."""
    return 1 if n < 2 else n * factorial(n - 1)


print(factorial(10))'''

WORDS = '''\
from collections import Counter


def most_common(text: str, n: int = 3) -> list[tuple[str, int]]:
    """Return the n most frequent words of a text and how often each occurs."""
    return Counter(text.lower().split()).most_common(n)


print(most_common("the cat and the dog and the bird"))'''

CSV = """\
```csv
city,people,share,founded
Paris,2103000,0.032,1976-01-01
Rome,2755000,0.047,1870-09-20
Madrid,3339000,0.069,1561-05-08
```"""

CODE = {
    "sort": ("Quicksort", QUICKSORT),
    "fibonacci": ("Fibonacci numbers", FIBONACCI),
    "prime": ("Prime numbers", PRIMES),
    "factorial": ("Factorial", FACTORIAL),
}
"""Title and code by a word of the request."""

CODE_ANSWER = """\
## {title}

For “{topic}”, this function does the work; it needs nothing but the standard library.

```python
{code}
```

Run the cell to see its result. Its cost grows with the length of the input.
"""

FACTS = {
    "capital of france": "The capital of France is Paris.",
    "capital of germany": "The capital of Germany is Berlin.",
    "capital of italy": "The capital of Italy is Rome.",
    "capital of japan": "The capital of Japan is Tokyo.",
    "capital of spain": "The capital of Spain is Madrid.",
    "who are you": "I am the llmkit sandbox: a stand-in for a model, on your own machine.",
    "thank": "You are welcome!",
}
"""Short answers by a part of a question in lower case."""
