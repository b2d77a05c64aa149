from .answer_types import Choice as Choice
from .answer_types import Score as Score
from .answer_types import YesNo as YesNo
from .batch_mode import cancel as cancel
from .extract_verbs import aextract as aextract
from .extract_verbs import extract as extract
from .plan import Plan as Plan
from .stopped import JobStopped as JobStopped
from .stored import answer as answer
from .stored import forget as forget
from .stored import jobs as jobs
from .typed_verbs import aclassify as aclassify
from .typed_verbs import adecide as adecide
from .typed_verbs import afilter as afilter
from .typed_verbs import ascore as ascore
from .typed_verbs import classify as classify
from .typed_verbs import decide as decide
from .typed_verbs import filter as filter  # noqa: A004 - as Python calls it
from .typed_verbs import score as score
from .verbs import amap as amap
from .verbs import map as map  # noqa: A004 - as Python calls it
