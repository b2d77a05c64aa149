"""What a ledger tells of its calls: rows, sums, charts, and what they would have cost otherwise."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from llmkit.core.errors import ConfigurationError
from llmkit.core.suggestions import known, texts
from llmkit.costs.sums import total_of

if TYPE_CHECKING:
    import os
    import threading
    from collections.abc import Mapping, Sequence
    from datetime import date

    import pandas as pd

    from llmkit.costs.frame.frame import Frame
    from llmkit.costs.pricing.repricing import Repriced
    from llmkit.costs.store.protocol import Store
    from llmkit.costs.sums import Sums, Total

SETTLE = 2.0  # seconds that a reader waits for rows on their way; after that they are read from memory


class Analysis(ABC):
    """The reading half of a `Ledger`; nothing here changes a row."""

    _frame: Frame | None = None
    _reading: threading.RLock

    @property
    @abstractmethod
    def _store(self) -> Store:
        """Where the rows are."""

    def _settle(self) -> Store:
        """Return the store, once the rows on their way have had time to arrive."""
        self._store.flush(SETTLE)
        return self._store

    @property
    def df(self) -> pd.DataFrame:
        """All calls as a DataFrame of its own, which may be changed.

        Costs are float dollars, NaN if unknown; times are aware (UTC); tags are read-only dicts. Its own
        `to_parquet`, `to_csv`, `to_excel` and so on write tags as JSON text, and to Excel UTC times without
        a zone.
        """
        from llmkit.costs.frame.frame import Frame

        store = self._settle()
        with self._reading:
            if self._frame is None:
                self._frame = Frame(store)
            return self._frame.refresh()

    def query(
        self,
        *,
        since: date | str | None = None,
        until: date | str | None = None,
        provider: str | Sequence[str] | None = None,
        model: str | Sequence[str] | None = None,
        notebook: str | Sequence[str] | None = None,
        status: str | Sequence[str] | None = None,
        tag: str | None = None,
        simulated: bool | None = None,
    ) -> pd.DataFrame:
        """Read some calls only; those for which all that is given holds.

        Example:
            >>> from llmkit import Ledger
            >>> len(Ledger(":memory:").query(since="2026-11-01", status=["error", "interrupted"]))
            0
        """
        from llmkit.costs.frame.frame import table
        from llmkit.costs.store.filters import Filters
        from llmkit.costs.timestamps import moment

        given = {"provider": provider, "model": model, "notebook": notebook, "status": status}
        words = {name: tuple(texts(value, name)) for name, value in given.items() if value is not None}
        name, equals, value = "".join(texts(tag, "tag")).partition("=")
        choice = Filters(
            since=moment(since),
            until=moment(until),
            words=words,
            tag=(name, value if equals else None) if tag is not None else None,
            simulated=simulated,
        )
        return table(self._settle().select(choice))

    def total(
        self,
        *,
        simulated: bool | None = None,
        since: date | str | None = None,
        session: str | None = None,
    ) -> Total:
        """Add up what calls cost, exactly."""
        return total_of(self.sums(since=since, session=session), simulated)

    def sums(self, *, since: date | str | None = None, session: str | None = None) -> dict[bool, Sums]:
        """Add calls up in integers, for those who go on counting; arguments and errors as in `total`."""
        from llmkit.costs.timestamps import moment

        return self._settle().sums(since=moment(since), session=session)

    def summary(self, by: str | Sequence[str] = "model", *, simulated: bool | None = None) -> pd.DataFrame:
        """Add calls up in groups."""
        from llmkit.costs.frame.files import LedgerFrame
        from llmkit.costs.frame.frame import COLUMNS
        from llmkit.costs.frame.summary import PERIODS, TAG, needed, rolled, spending, summarise

        names = texts(by, "by")
        if not names:
            raise ConfigurationError(
                "There is nothing to group by.",
                hint="Name a column, such as model; total() adds up all.",
            )
        for name in names:
            if not name.startswith(TAG):
                known(name, [*COLUMNS, *PERIODS], "column")
        table = rolled(self._settle(), names, simulated)
        if table is None:
            table = summarise(spending(self.df[needed(names)], simulated), names)
        return LedgerFrame(table)

    def reprice(
        self,
        model: str | None = None,
        *,
        prices: Mapping[str, Mapping[str, float]] | None = None,
        cached: float | None = None,
        since: date | str | None = None,
        until: date | str | None = None,
        provider: str | Sequence[str] | None = None,
        only_model: str | Sequence[str] | None = None,
        notebook: str | Sequence[str] | None = None,
        status: str | Sequence[str] | None = None,
        tag: str | None = None,
        simulated: bool | None = None,
    ) -> Repriced:
        """Say what calls would have cost otherwise; nothing is written.

        Without any of the first three arguments: what they would cost at today's prices.

        Example:
            >>> from llmkit import Ledger
            >>> Ledger(":memory:").reprice("m", prices={"m": {"input": 1, "output": 2}})
            0 calls: $0.00; on m at the given prices: $0.00
        """
        from llmkit.costs.frame.summary import spending
        from llmkit.costs.pricing.repricing import what_if

        if all(each is None for each in (since, until, provider, only_model, notebook, status, tag)):
            calls = self.df  # which is in memory, as a rule
        else:
            calls = self.query(
                since=since,
                until=until,
                provider=provider,
                model=only_model,
                notebook=notebook,
                status=status,
                tag=tag,
            )
        return what_if(spending(calls, simulated), model, prices, cached)

    def reconcile(
        self,
        source: str | os.PathLike[str] | pd.DataFrame | Mapping[str, Any] | Sequence[Any],
        *,
        provider: str | None = None,
        since: date | str | None = None,
        until: date | str | None = None,
        tolerance: float = 0.01,
    ) -> pd.DataFrame:
        """Compare the ledger with what a provider says was used, per UTC day and model.

        Only the days that the export covers are compared, and of the ledger what reached a provider: no
        replayed calls, and no calls that were refused. A model is found by the name that answered, then by
        the one that was asked for, then by either without its date.

        Example:
            >>> from llmkit import Ledger
            >>> theirs = {"input_tokens": 5000, "output_tokens": 1000, "model": "gpt-6-luna"}
            >>> pages = {"data": [{"start_time": 1730419200, "results": [theirs]}]}
            >>> Ledger(":memory:").reconcile(pages)["status"].tolist()
            ['only theirs']
        """
        from llmkit.costs.frame.files import LedgerFrame
        from llmkit.costs.pricing.reconcile import reconcile
        from llmkit.costs.timestamps import aware

        days = {"since": aware(since), "until": aware(until)}
        found = reconcile(self.query, source, provider=provider, tolerance=tolerance, **days)
        return LedgerFrame(found)

    @property
    def corrections(self) -> pd.DataFrame:
        """What `correct` changed, in that order, one row per call.

        Columns: corrected, time, uid, provider, model, what (`"cost"`; of replayed calls `"saved"`; of
        answers that broke off also `"at_most"`; `"usage_source"` where a price is no estimate any more),
        old_usd, old_source, old_date, new_usd, new_source,
        new_date, reason, run. Times are UTC. `clear` deletes the rows of the calls that it deletes.
        """
        from llmkit.costs.pricing import corrections

        return corrections.table(self._store)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write all calls to a CSV file; a new one is readable for its owner only."""
        from llmkit.costs.frame.files import write_csv

        write_csv(self.df, path)

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write all calls to a Parquet file; a new one is readable for its owner only."""
        from llmkit.costs.frame.files import write_parquet

        write_parquet(self.df, path)

    def to_excel(self, path: str | os.PathLike[str]) -> None:
        """Write all calls to an Excel file; a new one is readable for its owner only.

        Times are UTC and have no zone there, because Excel knows none.
        """
        from llmkit.costs.frame.files import write_excel

        write_excel(self.df, path)

    def __repr__(self) -> str:
        return f"Ledger({self._place()!r}): {self._describe()}"

    def _repr_html_(self) -> str:
        return (
            f'<div class="mathjax_ignore tex2jax_ignore"><b>Ledger</b> {html.escape(self._describe())}'
            f"<br><small>{html.escape(self._place())}</small></div>"
        )

    def _place(self) -> str:
        try:
            return str(self._store.path)
        except ConfigurationError:  # which `_describe` says
            return "?"

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def _describe(self) -> str:
        try:
            waiting = (
                "" if self._store.flush(SETTLE) else f"; {len(self._store.unwritten())} wait to be written"
            )
            return f"{self.total()}{waiting}"
        except ConfigurationError as error:
            return str(error)
