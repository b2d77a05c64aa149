"""LLM calls over tables: the same question to every row of a frame.

`import llmkit.frames` registers `df.llm` for pandas, polars and Dask. Names are loaded at their first use.
"""

import lazy_loader

from llmkit.frames import accessor

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

accessor.register()
