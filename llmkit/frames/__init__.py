"""LLM calls over tables: the same question to every row of a frame.

`import llmkit.frames` registers `df.llm` for pandas, polars and Dask: `df.llm.map("Summarise: {{text}}")`. As
functions, `map`, `extract`, `classify`, `filter`, `score` and `decide` take pyarrow tables, too. `jobs` lists
what was asked, `answer` shows a row's raw answer, `cancel` ends a batch, and `forget` deletes stored answers.
The names are loaded at their first use.
"""

import lazy_loader

from llmkit.frames import accessor

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

accessor.register()
