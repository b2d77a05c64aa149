"""The texts that the sandbox answers with."""

from __future__ import annotations

OVERVIEW = """\
# {title}

The llmkit sandbox knows little about **{topic}**: no model was called. This text shows what \
an answer may hold: lists, tables, code and formulas.

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

With a key, a real model answers, and the code stays the same.
"""

PROSE = (
    "is best understood by a small example, because an example can be checked. "
    "Take the simplest case first, write down what you expect, and compare it with what happens. "
    "Where the two differ, there is something to learn; where they agree, go one step further. "
    "In the end a few plain rules remain, and they explain most of what can be seen in practice."
)
"""Sentences that follow the name of any topic, repeated up to the required length."""

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

ADD = '''\
def add(a: float, b: float) -> float:
    """Return the sum of two numbers."""
    return a + b


print(add(2, 3))'''

MEAN = '''\
def mean(values: list[float]) -> float:
    """Return the mean of some numbers."""
    return sum(values) / len(values)


print(mean([1, 2, 3, 4]))'''

PALINDROME = '''\
def is_palindrome(text: str) -> bool:
    """Whether a text reads the same backwards."""
    letters = [char.lower() for char in text if char.isalnum()]
    return letters == letters[::-1]


print(is_palindrome("Never odd or even"))'''

REVERSE = '''\
def reverse(text: str) -> str:
    """Return a text from its end to its beginning."""
    return text[::-1]


print(reverse("river"))'''

CODE = {
    r"\w*sort": ("Quicksort", QUICKSORT),
    "fibonacci": ("Fibonacci numbers", FIBONACCI),
    "prime": ("Prime numbers", PRIMES),
    "factorial": ("Factorial", FACTORIAL),
    "palindrome": ("Palindromes", PALINDROME),
    "revers": ("Reversing a text", REVERSE),
    "(?:mean|average)": ("The mean", MEAN),
    "(?:add|sum)": ("Adding numbers", ADD),
    "count": ("Counting words", WORDS),
    "word": ("Counting words", WORDS),
}
"""Title and code by the beginning of a word of the request."""

CODE_ANSWER = """\
## {title}

For “{topic}”, this function does the work; it needs nothing but the standard library.

```python
{code}
```

Run the cell to see its result. Its cost grows with the length of the input.
"""

OTHER_CODE_ANSWER = """\
## {title}

The sandbox has no code for “{topic}”. Here is another function; a real model writes yours.

```python
{code}
```
"""

UNKNOWN = (
    "The sandbox knows no answer to **{topic}**: it is not a model. With a key, a real one answers.",
    "No idea about **{topic}**. I am only a sandbox; a real model needs a key.",
    "**{topic}**: not among the few facts of this sandbox. With a key, a real model answers.",
    "Let me think… no, the sandbox has no fact about **{topic}**. A real model needs a key.",
)
"""What each style says about an unknown topic."""

FACTS = {
    "who are you": "I am the llmkit sandbox: I answer in place of a model, on your own machine.",
    "what is replay": "A replay plays back recorded answers: the same request costs nothing the second time.",
    "thank": "You are welcome!",
}
"""Short answers by a part of a question in lower case."""
