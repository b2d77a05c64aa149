"""SQL for requests that name their tables and columns: `count orders per customer`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from llmkit.sandbox.answers.numbers.number_words import NUMBER, as_number
from llmkit.sandbox.answers.wording import stem

if TYPE_CHECKING:
    from collections.abc import Callable

_N = rf"({NUMBER.pattern})"
_LEAD = re.compile(
    r"^\W*(?:please |can you |could you )*(?:write|give|show|make|create|generate|i need|need)?\s*(?:me"
    r" )?(?:an? |the )?"
    r"(?:sql|query|statement|select)?(?: sql)?(?: query| statement| code)?\s*(?:in sql )?"
    r"(?:to|that|which|for|:|of)?\s*(?:finds?|gets?|selects?|shows?|lists?|returns?|computes?"
    r"|calculates?)?\s*(?:the |all )?"
)
_TAIL = re.compile(r"\s*(?:(?:in|with|using) sql|sql)?[.?!\s]*$")
_ABOVE = r"(above|over|more than|greater than|at least|below|under|less than|fewer than|at most)"
_SIGNS = {"at least": ">=", "at most": "<=", "below": "<", "under": "<", "less than": "<", "fewer than": "<"}
_FUNCTIONS = (
    (r"averages?|avg|mean", "AVG"), (r"totals?|sums?", "SUM"),
    (r"max\w*|highest|largest", "MAX"), (r"min\w*|lowest|smallest", "MIN"),
)  # fmt: skip
_GROUP = re.compile(
    rf"^(?:(counts?|number|{'|'.join(words for words, _ in _FUNCTIONS)}) )(?:of )?(?:the |all )?(\w+)"
    rf"(?: (?:from|in|of) (?:the )?(?:table )?(\w+?))? (?:per|by|for each|in each|of each|grouped by|for"
    rf" every) (\w+)"
    rf"(?:[, ]+(?:and )?(?:only |that (?:is|are) |where .*?|having .*?|with )?{_ABOVE} \$?{_N})?$"
)
_DUPLICATES = re.compile(
    r"^(?:find )?duplicate[sd]? (?:of )?(\w+)(?: (?:in|from) (?:the )?(?:table )?(\w+))?"
)
_TOP = re.compile(rf"^top {_N} (\w+) (?:by|with the (?:most|highest|largest)) (\w+)$")
_JOIN = re.compile(r"^joins?(?: of| between| the)?(?: tables?)? (\w+) (?:and|with|to) (\w+)")
_HAVING = re.compile(rf"^(\w+) (?:with|who have|that have|having|who (?:made|placed)) {_ABOVE} {_N} (\w+)$")
_WHERE = re.compile(
    rf"^(\w+)(?: from (?:the )?(?:table )?(\w+))? (?:where|with|whose) (?:an? |the )?(\w+)(?: is| are)?"
    rf" (?:{_ABOVE} |(?:equal to|of|=) )?\$?{_N}$"
)
_OLDER = re.compile(rf"^(\w+) (?:who are |that are )?(older|younger) than {_N}$")


class Written(NamedTuple):
    """SQL, and what it is."""

    title: str
    code: str


def _sign(word: str) -> str:
    return _SIGNS.get(word, ">")


def _number(word: str) -> str:
    return f"{as_number(word):g}" if as_number(word) < 1e6 else str(int(as_number(word)))


def _grouped(found: re.Match[str]) -> Written:
    """Write one row for each group, with a count or a measure of it."""
    word, what, source, key, limit, bound = found.groups()[:6]
    if word in {"count", "counts", "number"}:
        value, name, table = "COUNT(*)", f"{stem(what)}_count", source or what
    else:
        function = next(name for words, name in _FUNCTIONS if re.fullmatch(words, word))
        value, name, table = (
            f"{function}({stem(what)})",
            f"{function.lower()}_{stem(what)}",
            source or "my_table",
        )
    having = f"\nHAVING {value} {_sign(limit)} {_number(bound)}" if limit else ""
    code = (
        f"SELECT {stem(key)}, {value} AS {name}\nFROM {table}\n"
        f"GROUP BY {stem(key)}{having}\nORDER BY {name} DESC;"
    )
    return Written("Groups in SQL", code)


def _duplicates(found: re.Match[str]) -> Written:
    column = stem(found[1])
    table = found[2] or "my_table"
    code = f"SELECT {column}, COUNT(*) AS times\nFROM {table}\nGROUP BY {column}\nHAVING COUNT(*) > 1;"
    return Written("Duplicates in SQL", code)


def _top(found: re.Match[str]) -> Written:
    many, table, column = found.groups()[0], *found.groups()[-2:]
    code = f"SELECT *\nFROM {table}\nORDER BY {stem(column)} DESC\nLIMIT {_number(many)};"
    return Written("The largest rows in SQL", code)


def _join(found: re.Match[str]) -> Written:
    one, other = found.groups()
    code = f"SELECT *\nFROM {one}\nJOIN {other} ON {one}.{stem(other)}_id = {other}.id;"
    return Written("Joining tables in SQL", code)


def _having(found: re.Match[str]) -> Written:
    who, limit, bound, what = found[1], found[2], found[3], found.groups()[-1]
    key = f"{stem(who)}_id"
    code = (
        f"SELECT {key}, COUNT(*) AS {stem(what)}_count\nFROM {what}\nGROUP BY {key}\n"
        f"HAVING COUNT(*) {_sign(limit)} {_number(bound)};"
    )
    return Written("Rows above a count in SQL", code)


def _where(found: re.Match[str]) -> Written:
    what, source, column, limit, bound = found.groups()[:5]
    sign = _sign(limit) if limit else "="
    return Written(
        "Selecting rows in SQL", f"SELECT *\nFROM {source or what}\nWHERE {column} {sign} {_number(bound)};"
    )


def _older(found: re.Match[str]) -> Written:
    sign = ">" if found[2] == "older" else "<"
    return Written(
        "Selecting rows in SQL", f"SELECT *\nFROM {found[1]}\nWHERE age {sign} {_number(found[3])};"
    )


_KINDS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Written]], ...] = (
    (_GROUP, _grouped), (_DUPLICATES, _duplicates), (_TOP, _top), (_JOIN, _join), (_HAVING, _having),
    (_WHERE, _where), (_OLDER, _older),
)  # fmt: skip


def sql_for(question: str) -> Written | None:
    """Write the SQL that a plain question asks for; `None` if it names no table and column.

    Example:
        >>> print(sql_for("sql query: customers with more than 5 orders").code)
        SELECT customer_id, COUNT(*) AS order_count
        FROM orders
        GROUP BY customer_id
        HAVING COUNT(*) > 5;
    """
    asked = _TAIL.sub("", _LEAD.sub("", question.strip()))
    return next((write(found) for pattern, write in _KINDS if (found := pattern.search(asked))), None)
