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

        Raises:
            ConfigurationError: If the file cannot be read.
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

        Args:
            since: Calls of this time or later; a time without a zone is local.
            until: Calls of an earlier time.
            provider: Its name, or several.
            model: The name that was asked for, or several.
            notebook: File name of the notebook, or several.
            status: How they ended, or several words.
            tag: Name of a tag that they have, or `"name=value"`.
            simulated: Only the sandbox's calls, only real ones, or both.

        Returns:
            A DataFrame like `df`.

        Raises:
            ConfigurationError: If the file cannot be read, or a time cannot.

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
        """Add up what calls cost, exactly.

        Args:
            simulated: Only the sandbox's calls, only real ones, or `None`: both until a real one cost
                something, and then only the real ones; the total says how many were left out.
            since: Only calls of this time or later; a time without a zone is local.
            session: Only calls of this process, see `llmkit.records.session_id`.

        Returns:
            The total, which says how many calls have no known price.

        Raises:
            ConfigurationError: If the file cannot be read, or the time cannot.
        """
        return total_of(self.sums(since=since, session=session), simulated)

    def sums(self, *, since: date | str | None = None, session: str | None = None) -> dict[bool, Sums]:
        """Add calls up in integers, for those who go on counting; arguments and errors as in `total`.

        Returns:
            The sums by `simulated`; no key if there are no such calls.
        """
        from llmkit.costs.timestamps import moment

        return self._settle().sums(since=moment(since), session=session)

    def summary(self, by: str | Sequence[str] = "model", *, simulated: bool | None = None) -> pd.DataFrame:
        """Add calls up in groups.

        Args:
            by: A column or several, `"hour"`, `"day"`, `"week"` (from Monday) or `"month"` (local time), or
                `"tag:"` and the name of a tag. Sums by day, month, provider, model, notebook, status and
                `simulated` are kept with the rows, and so answer at once, however many rows there are.
            simulated: As in `total`.

        Returns:
            Per group: calls, errors, input_tokens, output_tokens, cost_usd, unpriced, estimated (calls whose
            price is an estimate), saved_usd.

        Raises:
            ConfigurationError: If there is no such column, or the file cannot be read.
        """
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

        Args:
            model: Model that all calls would have gone to, as `%%llm` takes it; tokens stay as they are.
            prices: US dollars per million tokens, by model, in the shape of `[tool.llmkit.prices]`; they
                win over all others.
            cached: Share of the input that would have come from the provider's cache, from 0 to 1.
            since: Only calls of this time or later; a time without a zone is local.
            until: Only calls of an earlier time.
            provider: Only those of this provider, or of several.
            only_model: Only calls that asked for this model, or for several.
            notebook: Only those of this notebook, or of several.
            status: Only those that ended so, or in several ways.
            tag: Only calls with this tag, or `"name=value"`.
            simulated: As in `total`.

        Returns:
            Both sums and a table, with the calls of unknown price counted. Replayed calls count as what
            they saved.

        Raises:
            ConfigurationError: If an argument makes no sense, nobody knows the model's price, or the file
                cannot be read.

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

        Args:
            source: A file (JSON or CSV), decoded JSON, or a DataFrame: pages of OpenAI's usage or costs, or
                of Anthropic's usage or cost report, several in a list; or a table with the columns date,
                model, and tokens or cost in US dollars under their usual names.
            provider: Whose export it is; a table does not tell, and without it all calls are compared.
            since: Only days from this one on; a time without a zone is local, the days are UTC.
            until: Only days before this time.
            tolerance: Share by which counts and costs may differ and still match; costs may differ by half
                a cent besides.

        Returns:
            By day and model: `status` (`"match"`, `"drift"`, `"only ours"`, `"only theirs"`), then calls,
            input_tokens, cached_tokens, output_tokens and cost_usd, each followed by `…_theirs` and
            `…_difference` (ours less theirs; missing where the export says nothing), and `unpriced`: our
            calls without a known price.

        Raises:
            ConfigurationError: If the export or the ledger cannot be read, its columns cannot be told
                apart, or it is of other days or another provider.

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

        Raises:
            ConfigurationError: If the file cannot be read.
        """
        from llmkit.costs.pricing import corrections

        return corrections.table(self._store)

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write all calls to a CSV file; a new one is readable for its owner only.

        Args:
            path: The file, which is replaced.
        """
        from llmkit.costs.frame.files import write_csv

        write_csv(self.df, path)

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write all calls to a Parquet file; a new one is readable for its owner only.

        Args:
            path: The file, which is replaced.

        Raises:
            ConfigurationError: If pyarrow is not installed.
        """
        from llmkit.costs.frame.files import write_parquet

        write_parquet(self.df, path)

    def to_excel(self, path: str | os.PathLike[str]) -> None:
        """Write all calls to an Excel file; a new one is readable for its owner only.

        Times are UTC and have no zone there, because Excel knows none.

        Args:
            path: The file, which is replaced.

        Raises:
            ConfigurationError: If openpyxl is not installed, or there are more calls than a sheet holds.
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
