"""Calls of a ledger, all or those that pass filters: rows, sums, charts, corrections and files of them."""

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
    from llmkit.costs.sums import Sums, Total
    from llmkit.notebook.dashboard.dashboard import Dashboard

SETTLE = 2.0  # seconds that a reader waits for rows on their way; after that they are read from memory

PRESETS = ("since", "until", "model", "notebook", "tag", "simulated")
"""Filters that are controls of the dashboard."""


class Calls:
    """Some calls of a ledger: what `Ledger.where` returns. A ledger is all of its calls.

    They are read when they are asked for: calls that are made later are among them. Filters that a
    method takes are those of `where`, and hold besides its own.

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
        """The ledger that has these calls."""
        return self._ledger

    @with_filters
    def where(self, **filters: Unpack[FilterOptions]) -> Calls:
        """Choose some of these calls: those that pass all filters.

        Args:
            **filters: `provider`, `model` (as it was asked for), `notebook`, `status` (how a call ended),
                `surface` (`"magic"`, `"chat"`, `"api"`, `"batch"`, …), `session`: one value, or a list of
                which any may be it. `since`, `until`: calls of this time or later, and of an earlier
                time; without a zone it is local. `tag`, `tags`: a name, `"name=value"`, a list or a
                dictionary of them, which must all fit. `simulated`: only the sandbox's calls, or only
                real ones.

        Returns:
            The calls, which have the methods of a ledger that read.

        Raises:
            ConfigurationError: If there is no such filter, or a value cannot be used.

        Example:
            ```python
            thesis = llmkit.ledger.where(tag="project=thesis", since="2026-11-01")
            thesis.total()
            thesis.where(status="error").df
            thesis.plot.model()
            ```
        """
        return Calls(self.ledger, self.filters & read(filters)) if filters else self

    @property
    def df(self) -> pd.DataFrame:
        """The calls as a DataFrame of its own, which may be changed.

        Costs are float dollars, NaN if unknown; times are aware (UTC); tags are read-only dicts. Its own
        `to_parquet`, `to_csv`, `to_excel` and so on write tags as JSON text, and to Excel UTC times without
        a zone.

        Raises:
            ConfigurationError: If the ledger cannot be read.
        """
        return self.ledger.rows_of(self, dollars=True)

    @property
    def exact(self) -> pd.DataFrame:
        """The calls with whole nano-dollars instead of dollars, for sums; to be left as it is."""
        return self.ledger.rows_of(self, dollars=False)

    @with_filters
    def query(self, **filters: Unpack[FilterOptions]) -> pd.DataFrame:
        """Read some calls only: `where(…).df`.

        Args:
            **filters: As in `where`.

        Returns:
            Rows like those of `df`; the others are not read.

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
            **filters: As in `where`. Without `simulated`, the sandbox's calls count only where no real
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
        """Add calls up in integers, by whether they are simulated; for those who go on counting."""
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
        """Add calls up in groups.

        Args:
            by: A column of `df`, or several; `"hour"`, `"day"`, `"week"`, `"month"` (local time); or
                `"tag:"` and the name of a tag.
            **filters: As in `total`.

        Returns:
            One row per group: calls, errors, input_tokens, output_tokens, cost_usd, unpriced, estimated,
            saved_usd; the most expensive first, or by time.

        Raises:
            ConfigurationError: If there is no such column or filter, or the ledger cannot be read.

        Example:
            >>> from llmkit import Ledger
            >>> Ledger(":memory:").summary(["day", "model"]).columns[:2].tolist()
            ['calls', 'errors']
        """
        from llmkit.costs.frame import summary
        from llmkit.costs.frame.files import LedgerFrame
        from llmkit.costs.frame.frame import COLUMNS

        names = texts(by, "by")
        if not names:
            raise ConfigurationError(
                "by must name at least one column.",
                hint="Name a column, such as model; total() sums all calls.",
            )
        for name in names:
            if not name.startswith(summary.TAG):
                known(name, [*COLUMNS, *summary.PERIODS], "column")
        calls, simulated = self.counting(filters)
        table = summary.rolled(self.ledger.flushed_store(), names, simulated, calls.filters)
        if table is None:
            table = summary.summarise(summary.spending(calls.exact[summary.needed(names)], simulated), names)
        return LedgerFrame(table)

    @property
    def plot(self) -> Charts:
        """Draw what calls cost, and how they went: `plot("model")` or `plot.model()`."""
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
        """Show where the money went, with controls, live while calls run.

        Args:
            by: `"model"`, `"provider"`, `"notebook"`, `"status"`, `"surface"`, `"hour"`, `"day"`,
                `"week"`, `"month"`, or `"tag:"` and the name of a tag.
            metric: `"cost"`, `"calls"`, `"tokens"`, `"errors"`, `"saved"`, or a median: `"duration"`,
                `"first token"`.
            **filters: As in `total`. One `model`, `notebook`, `tag` (`"name=value"`), `simulated`, `since`
                (also `"today"`, `"7 days"`, `"30 days"`, `"this month"`, `"all"`) and `until` preset the
                controls, where the user can change them; by default 30 days, or all if nothing was called
                in them.

        Returns:
            The dashboard, which shows itself as the last line of a cell; `close()` ends it.

        Raises:
            ConfigurationError: If the ledger cannot be read, or an argument makes no sense.

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
        """Say what calls would have cost otherwise; nothing is written.

        Without any of the first three arguments: what they would cost at today's prices.

        Args:
            model: Another model, as `%%llm` takes it.
            prices: US dollars per million tokens, by model, in the shape of `[tool.llmkit.prices]`.
            cached: Share of the input that the provider's cache has, from 0 to 1.
            only_model: Only calls of this model, or of several: the filter `model`.
            **filters: As in `total`.

        Returns:
            Both costs, in all and by model.

        Raises:
            ConfigurationError: If no price of the model is known, an argument is not valid, or the
                ledger cannot be read.

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
        """Correct the cost of calls whose price was wrong or unknown; what it was before is kept.

        Each call gets the price that held when it was made, by the price data and settings of today or by
        a table. Correct prices stay, and so do calls without a known price; so a second time changes
        nothing. Some thousand calls at a time are corrected in one step each: whatever stops it in
        between, each call has its old price or the new one with a note. What a day spent of its budget
        follows; `session_total` does not.

        Calls that a fallback answered stay as they are, for their tokens may be of two models.

        Args:
            prices: US dollars per million tokens, by model, in the shape of `[tool.llmkit.prices]`; then
                only calls of these models are corrected. Without it, calls that were corrected by such a
                table stay.
            reported: Whether to correct also what the provider itself said it charged.
            reason: Kept with the correction, 200 characters at most.
            dry_run: Only say what would change.
            undo: `Corrected.run` of a correction that is to be taken back, where nothing has changed the
                price since; no other argument counts then.
            **filters: As in `where`; without `simulated` only real calls are corrected.

        Returns:
            What has changed.

        Raises:
            ConfigurationError: If an argument makes no sense, or the file cannot be read or written now.

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
        """Compare calls with what a provider says was used, per UTC day and model.

        Only the days that the export covers are compared, and of the ledger what reached a provider: no
        replayed calls, and no calls that were refused. A model is found by the name that answered, then by
        the one that was asked for, then by either without its date.

        Args:
            source: A file of the provider's export, JSON or CSV, or what is in one.
            tolerance: Share by which amounts may differ and still match.
            **filters: As in `total`; of `since` and `until`, whole UTC days count.

        Returns:
            One row per day and model: status (`"match"`, `"drift"`, `"only ours"`, `"only theirs"`), and
            of each measure ours, theirs and the difference.

        Raises:
            ConfigurationError: If the export cannot be read, or does not cover what is asked for.

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

    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write the calls to a CSV file; a new one is readable for its owner only.

        Args:
            path: The file.

        Raises:
            ConfigurationError: If the ledger cannot be read.
        """
        from llmkit.costs.frame.files import write_csv

        write_csv(self.df, path)

    def to_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the calls to a Parquet file; a new one is readable for its owner only.

        Args:
            path: The file.

        Raises:
            ConfigurationError: If the ledger cannot be read, or pyarrow is not installed.
        """
        from llmkit.costs.frame.files import write_parquet

        write_parquet(self.df, path)

    def to_excel(self, path: str | os.PathLike[str]) -> None:
        """Write the calls to an Excel file; a new one is readable for its owner only.

        Times are UTC and have no zone there, because Excel knows none.

        Args:
            path: The file.

        Raises:
            ConfigurationError: If the ledger cannot be read, openpyxl is not installed, or a sheet cannot
                hold so many calls.
        """
        from llmkit.costs.frame.files import write_excel

        write_excel(self.df, path)

    def counting(self, filters: Mapping[str, Any]) -> tuple[Calls, bool | None]:
        """Return the calls that pass filters, and which kind counts; see `sums.kinds_that_count`."""
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
