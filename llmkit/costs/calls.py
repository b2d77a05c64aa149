"""The calls of a ledger, all or filtered: rows, sums, charts, corrections and files."""

from __future__ import annotations

import html
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Unpack

from llmkit.core.errors import ConfigurationError
from llmkit.core.suggestions import known, texts
from llmkit.costs.store.filters import ALL, FilterOptions, Filters, OtherFilters, read, with_filters
from llmkit.costs.sums import total_of

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from llmkit.costs.charts import Charts
    from llmkit.costs.ledger import Ledger
    from llmkit.costs.pricing.corrections import Corrected
    from llmkit.costs.pricing.repricing import Repriced
    from llmkit.costs.store.protocol import Store
    from llmkit.costs.sums import Sums, Total
    from llmkit.costs.transfer import Copied
    from llmkit.notebook.dashboard.dashboard import Dashboard

SETTLE = 2.0  # seconds that a reader waits for rows on their way; after that they are read from memory

PRESETS = ("since", "until", "model", "notebook", "tag", "simulated")
"""Filters that are controls of the dashboard."""


class Calls:
    """The calls of a ledger that pass filters; `Ledger.where` returns them.

    Rows are read on demand, so later calls are included. Methods that take filters combine them with
    those of `where`.

    Example:
        >>> from llmkit import Ledger
        >>> Ledger(":memory:").where(model="gpt-6-luna", tag="project=thesis")
        Calls (model gpt-6-luna; tag project=thesis): $0.00 over 0 calls
    """

    filters = ALL

    def __init__(self, ledger: Ledger, filters: Filters) -> None:
        self._ledger = ledger
        self.filters = filters

    @property
    def ledger(self) -> Ledger:
        """The ledger of these calls."""
        return self._ledger

    @with_filters
    def where(self, **filters: Unpack[FilterOptions]) -> Calls:
        """Select the calls that pass all filters.

        Args:
            **filters: `provider`, `model` (as requested), `notebook`, `status` (how a call ended),
                `surface` (`"magic"`, `"chat"`, `"api"`, `"batch"`, `"table"`, …), `session`, `user` (only
                of a ledger in PostgreSQL): one value or a list of them. `since` (inclusive), `until`
                (exclusive): times, local without a zone. `tag`, `tags`: a name, `"name=value"`, or a list or
                dictionary of them; all must match. `simulated`: `True` for the sandbox's calls only, `False`
                for real calls only.

        Returns:
            The selected calls, with a ledger's methods for reading.

        Raises:
            ConfigurationError: If a filter does not exist (also a `TypeError`) or its value is invalid.

        Example:
            ```python
            thesis = llmkit.ledger.where(tag="project=thesis", since="2026-11-01")
            thesis.total()
            thesis.where(status="error").df
            thesis.plot.model()
            ```
        """
        if not filters:
            return self
        chosen = read(filters)
        if "user" in chosen.words:  # only some ledgers know whose calls they are
            check_columns(self.ledger.flushed_store(), ["user"])
        return Calls(self.ledger, self.filters & chosen)

    @property
    def df(self) -> pd.DataFrame:
        """The calls as a DataFrame, a copy that you may change.

        Costs are float dollars, NaN if unknown; times are aware (UTC); tags are read-only dicts. Methods
        such as `to_parquet` and `to_csv` write tags as JSON text; `to_excel` also writes UTC times without
        a zone.

        Raises:
            ConfigurationError: If the ledger cannot be read.
        """
        return self.ledger.rows_of(self, dollars=True)

    @property
    def exact(self) -> pd.DataFrame:
        """The calls in whole nano-dollars, for exact sums; must not be changed."""
        return self.ledger.rows_of(self, dollars=False)

    @with_filters
    def query(self, **filters: Unpack[FilterOptions]) -> pd.DataFrame:
        """Return the calls that pass filters: `where(…).df`.

        Args:
            **filters: As in `where`.

        Returns:
            Rows with the columns of `df`; other rows are not read.

        Raises:
            ConfigurationError: As `where`; or if the ledger cannot be read.

        Example:
            >>> from llmkit import Ledger
            >>> len(Ledger(":memory:").query(since="2026-11-01", status=["error", "interrupted"]))
            0
        """
        return self.where(**filters).df

    @with_filters
    def total(self, **filters: Unpack[FilterOptions]) -> Total:
        """Add up what calls cost, exactly.

        Args:
            **filters: As in `where`. Without `simulated`, the sandbox's calls count only if no real
                call cost anything.

        Returns:
            The total.

        Raises:
            ConfigurationError: As `where`; or if the ledger cannot be read.

        Example:
            >>> from llmkit import Ledger
            >>> Ledger(":memory:").total(since="2026-11-01")
            $0.00 over 0 calls
        """
        calls, simulated = self.counting(filters)
        return total_of(calls.sums(), simulated)

    @with_filters
    def sums(self, **filters: Unpack[FilterOptions]) -> dict[bool, Sums]:
        """Return the sums of simulated and of real calls, in integers."""
        calls, store = self.where(**filters), self.ledger.flushed_store()
        words = {name: some for name, some in calls.filters.words.items() if name != "session"}
        sessions = calls.filters.words.get("session", (None,))
        if replace(calls.filters, since=None, words=words) == ALL and len(sessions) == 1:
            return store.sums(since=calls.filters.since, session=sessions[0])
        from llmkit.costs.frame import summary

        kept = summary.kept_sums(store, calls.filters)
        return summary.frame_sums(calls.exact) if kept is None else kept

    @with_filters
    def summary(self, by: str | Sequence[str] = "model", **filters: Unpack[FilterOptions]) -> pd.DataFrame:
        """Group calls and add them up.

        Args:
            by: A column of `df`, or several; `"hour"`, `"day"`, `"week"`, `"month"` (local time); `"job"`,
                the name of a job over a table; or `"tag:"` and the name of a tag.
            **filters: As in `total`.

        Returns:
            One row per group: calls, errors, input_tokens, output_tokens, cost_usd, unpriced, estimated,
            saved_usd; most expensive first, or in order of time.

        Raises:
            ConfigurationError: If a column or filter does not exist, or the ledger cannot be read.

        Example:
            >>> from llmkit import Ledger
            >>> Ledger(":memory:").summary(["day", "model"]).columns[:2].tolist()
            ['calls', 'errors']
        """
        from llmkit.costs.frame import summary
        from llmkit.costs.frame.files import LedgerFrame

        store = self.ledger.flushed_store()
        names = [summary.JOB if name == "job" else name for name in texts(by, "by")]
        if not names:
            raise ConfigurationError(
                "by must name at least one column.",
                hint="Name a column, such as model; total() sums all calls.",
            )
        check_columns(store, names)
        calls, simulated = self.counting(filters)
        table = summary.rolled(store, names, simulated, calls.filters)
        if table is None:
            table = summary.summarise(summary.spending(calls.exact[summary.needed(names)], simulated), names)
        return LedgerFrame(table.rename_axis(index={summary.JOB: "job"}))

    @property
    def plot(self) -> Charts:
        """Charts of costs, tokens, durations and errors: `plot("model")` or `plot.model()`."""
        from llmkit.costs.charts import Charts

        return Charts(self)

    @property
    def charts(self) -> Charts:
        """The same as `plot`."""
        return self.plot

    @with_filters
    def dashboard(
        self, by: str = "model", metric: str = "cost", **filters: Unpack[FilterOptions]
    ) -> Dashboard:
        """Show costs in an interactive dashboard that follows new calls.

        Args:
            by: `"model"`, `"provider"`, `"notebook"`, `"status"`, `"surface"`, `"job"`, `"hour"`, `"day"`,
                `"week"`, `"month"`, `"tag:"` and the name of a tag, or, for a ledger in PostgreSQL, `"user"`.
            metric: `"cost"`, `"calls"`, `"tokens"`, `"errors"`, `"saved"`, or a median: `"duration"`,
                `"first token"`.
            **filters: As in `total`. One `model`, `notebook`, `tag` (`"name=value"`), `simulated`, `since`
                (also `"today"`, `"7 days"`, `"30 days"`, `"this month"`, `"all"`) and `until` preset the
                controls, which the user can change; by default 30 days, or all if these have no calls.

        Returns:
            The dashboard, displayed as the last line of a cell; `close()` stops it.

        Raises:
            ConfigurationError: If the ledger cannot be read, or an argument is invalid.

        Example:
            >>> from llmkit import Ledger
            >>> board = Ledger(":memory:").dashboard(by="day")
            >>> len(board.df)
            0
            >>> board.close()
        """
        from llmkit.notebook.dashboard.dashboard import Dashboard

        presets = {
            name: value
            for name, value in filters.items()
            if name in PRESETS and not isinstance(value, (list, tuple))
        }
        rest: Any = {name: value for name, value in filters.items() if name not in presets}
        return Dashboard(self.where(**rest), by=by, metric=metric, **presets)  # type: ignore[arg-type]  # checked there

    @with_filters
    def reprice(
        self,
        model: str | None = None,
        *,
        prices: Mapping[str, Mapping[str, float]] | None = None,
        cached: float | None = None,
        only_model: str | Sequence[str] | None = None,
        **filters: Unpack[OtherFilters],
    ) -> Repriced:
        """Compute what calls would have cost on other terms; writes nothing.

        Without `model`, `prices` and `cached`, today's prices apply.

        Args:
            model: Another model, as in `%%llm`.
            prices: US dollars per million tokens, by model, in the form of `[tool.llmkit.prices]`.
            cached: Share of the input that is read from the provider's cache, from 0 to 1.
            only_model: The filter `model`: one model, or several.
            **filters: As in `total`.

        Returns:
            Both costs, in total and by model.

        Raises:
            ConfigurationError: If the model's price is unknown, an argument is invalid, or the ledger
                cannot be read.

        Example:
            >>> from llmkit import Ledger
            >>> Ledger(":memory:").reprice("m", prices={"m": {"input": 1, "output": 2}})
            0 calls: $0.00; on m at the given prices: $0.00
        """
        from llmkit.costs.frame.summary import spending
        from llmkit.costs.pricing.repricing import what_if

        calls, simulated = self.where(model=only_model).counting(filters)
        return what_if(spending(calls.exact, simulated), model, prices, cached)

    @with_filters
    def correct(
        self,
        *,
        prices: Mapping[str, Mapping[str, float]] | None = None,
        reported: bool = False,
        reason: str | None = None,
        dry_run: bool = False,
        undo: str | None = None,
        **filters: Unpack[FilterOptions],
    ) -> Corrected:
        """Correct the cost of calls whose price was wrong or unknown, and keep the old price.

        Each call gets the price that applied at its time, from today's price data and settings or from a
        table. Correct prices and calls without a known price stay, so a second run changes nothing.
        Corrections are made in transactions of some thousand calls: after an interruption, each call has
        its old price, or the new one with a note. The day's budget is adjusted; `session_total` is not.

        Calls that a fallback answered stay, because their tokens may be of two models.

        Args:
            prices: US dollars per million tokens, by model, in the form of `[tool.llmkit.prices]`; only
                calls of these models are corrected. Without it, prices from such a table stay.
            reported: Whether to correct prices that the provider reported, too.
            reason: Stored with the correction, at most 200 characters.
            dry_run: Whether only to report what would change.
            undo: `Corrected.run` of a correction to undo, where the price has not changed since; all other
                arguments are ignored.
            **filters: As in `where`; without `simulated`, only real calls are corrected.

        Returns:
            What has changed.

        Raises:
            ConfigurationError: If an argument is invalid, or the file cannot be read or written now.

        Example:
            >>> from llmkit import Ledger
            >>> Ledger(":memory:").correct(prices={"m": {"input": 1, "output": 2}}, reason="new contract")
            Nothing to correct among 0 calls
        """
        from llmkit.costs.pricing import corrections

        store = self.ledger.flushed_store()
        if undo is not None:
            return corrections.undo(store, undo)
        calls, simulated = self.counting(filters)
        frame = calls.where(simulated=bool(simulated)).exact
        return corrections.correct(
            store, frame, prices=prices, reported=reported, reason=reason, dry_run=dry_run
        )

    @with_filters
    def reconcile(
        self,
        source: str | os.PathLike[str] | pd.DataFrame | Mapping[str, Any] | Sequence[Any],
        *,
        tolerance: float = 0.01,
        **filters: Unpack[FilterOptions],
    ) -> pd.DataFrame:
        """Compare calls with a provider's usage report, per UTC day and model.

        Only the days of the report are compared, without replayed and refused calls. A model is matched by
        the name that answered, then by the requested name, then by either name without its date.

        Args:
            source: The provider's report as a JSON or CSV file, or its parsed contents.
            tolerance: Relative difference up to which amounts match.
            **filters: As in `total`; `since` and `until` are extended to whole UTC days.

        Returns:
            One row per day and model: status (`"match"`, `"drift"`, `"only ours"`, `"only theirs"`), and
            for each measure our value, theirs, and the difference.

        Raises:
            ConfigurationError: If the report cannot be read, or does not cover the requested days.

        Example:
            >>> from llmkit import Ledger
            >>> theirs = {"input_tokens": 5000, "output_tokens": 1000, "model": "gpt-6-luna"}
            >>> pages = {"data": [{"start_time": 1730419200, "results": [theirs]}]}
            >>> Ledger(":memory:").reconcile(pages)["status"].tolist()
            ['only theirs']
        """
        from llmkit.costs.frame.files import LedgerFrame
        from llmkit.costs.pricing.reconcile import reconcile

        calls, simulated = self.counting(filters)
        whole_days = Calls(calls.ledger, replace(calls.filters, since=None, until=None))
        return LedgerFrame(reconcile(calls, whole_days, source, tolerance=tolerance, simulated=simulated))

    def copy_to(self, target: Ledger | str | os.PathLike[str]) -> Copied:
        """Copy the calls, and corrections of their prices, into another ledger: each call once.

        A second run copies only what is missing, so an interrupted copy goes on. Budgets stay as they are,
        but calls of today count for those of the target.

        Args:
            target: The other ledger, or its file or address.

        Returns:
            The numbers of calls that were copied, and of those that were there already.

        Raises:
            ConfigurationError: If both are the same ledger, one cannot be read, or the target cannot be
                written now.

        Example:
            >>> from llmkit import Ledger
            >>> Ledger(":memory:").copy_to(Ledger(":memory:"))
            0 calls copied
        """
        from llmkit.costs.transfer import copy

        if isinstance(target, Calls):
            return copy(self.ledger.flushed_store(), target.ledger.flushed_store(), self.filters)
        other = type(self.ledger)(target)
        try:
            return copy(self.ledger.flushed_store(), other.flushed_store(), self.filters)
        finally:
            other.close()

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the calls to a CSV file; only its owner can read a new file.

        Args:
            path: The file.

        Raises:
            ConfigurationError: If the ledger cannot be read.
        """
        from llmkit.costs.frame.files import write_csv

        write_csv(self.df, path)

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the calls to a Parquet file; only its owner can read a new file.

        Args:
            path: The file.

        Raises:
            ConfigurationError: If the ledger cannot be read, or pyarrow is not installed.
        """
        from llmkit.costs.frame.files import write_parquet

        write_parquet(self.df, path)

    def to_excel(self, path: str | os.PathLike[str]) -> None:
        """Write the calls to an Excel file; only its owner can read a new file.

        Times are UTC without a zone, because Excel has no time zones.

        Args:
            path: The file.

        Raises:
            ConfigurationError: If the ledger cannot be read, openpyxl is not installed, or there are too
                many calls for a sheet.
        """
        from llmkit.costs.frame.files import write_excel

        write_excel(self.df, path)

    def counting(self, filters: Mapping[str, Any]) -> tuple[Calls, bool | None]:
        """Return the calls that pass filters, and the value of `simulated`; see `sums.kinds_that_count`."""
        calls = self.where(**{name: value for name, value in filters.items() if name != "simulated"})
        simulated = filters.get("simulated")
        return calls, calls.filters.simulated if simulated is None else simulated

    def __repr__(self) -> str:
        return f"Calls ({self.filters}): {self.total()}"

    def _repr_html_(self) -> str:
        rows: Any = self.df.to_html(max_rows=10, show_dimensions=True)
        return (
            '<div class="mathjax_ignore tex2jax_ignore">'
            f"<b>Calls</b> {html.escape(f'({self.filters}): {self.total()}')}{rows}</div>"
        )

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


def check_columns(store: Store, names: Sequence[str]) -> None:
    """Raise an error unless calls can be grouped by these names."""
    from llmkit.costs.frame import summary
    from llmkit.costs.frame.frame import columns_of

    for name in names:
        if not name.startswith(summary.TAG):
            known(name, [*columns_of(store), *summary.PERIODS, "job"], "column")
