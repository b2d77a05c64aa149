from .stopped import JobStopped as JobStopped
from .verbs import amap as amap
from .verbs import map as map  # noqa: A004 - as Python calls it
