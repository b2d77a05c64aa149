import typing

from . import parts as parts
from . import sandbox as sandbox
from .clients.anthropic import AnthropicClient as AnthropicClient
from .clients.base import BaseLLMClient as BaseLLMClient
from .clients.batch import RequestQueue as RequestQueue
from .clients.batch import batch as batch
from .clients.cassettes.replay import Replay as Replay
from .clients.cassettes.replay import replay as replay
from .clients.credentials.health import Health as Health
from .clients.credentials.keys import APIKeyManager as APIKeyManager
from .clients.credentials.keys import KeyStatus as KeyStatus
from .clients.credentials.trust import trust as trust
from .clients.engine.checks import safe_llm_call as safe_llm_call
from .clients.engine.checks import validate_api_key as validate_api_key
from .clients.engine.deadlines import Timeouts as Timeouts
from .clients.engine.engine import ProviderClient as ProviderClient
from .clients.engine.retry import RetryPolicy as RetryPolicy
from .clients.engine.retry import rate_limit_retry as rate_limit_retry
from .clients.google import GoogleAIClient as GoogleAIClient
from .clients.google_legacy import GoogleGenerativeAIClient as GoogleGenerativeAIClient
from .clients.models import ModelManager as ModelManager
from .clients.openai import OpenAIClient as OpenAIClient
from .clients.registry import client as client
from .clients.registry import register as register
from .clients.stream import TextStream as TextStream
from .content.attachments import Attachment as Attachment
from .content.attachments import attach as attach
from .content.messages import LLMMessage as LLMMessage
from .content.messages import LLMResponse as LLMResponse
from .content.messages import Usage as Usage
from .content.messages import build_conversation as build_conversation
from .core.errors import AuthenticationError as AuthenticationError
from .core.errors import BadResponseError as BadResponseError
from .core.errors import BudgetExceededError as BudgetExceededError
from .core.errors import ConfigurationError as ConfigurationError
from .core.errors import ContextLengthError as ContextLengthError
from .core.errors import InvalidRequestError as InvalidRequestError
from .core.errors import LLMClientError as LLMClientError
from .core.errors import LLMTimeoutError as LLMTimeoutError
from .core.errors import ModelNotFoundError as ModelNotFoundError
from .core.errors import PermissionDeniedError as PermissionDeniedError
from .core.errors import ProviderNotAvailableError as ProviderNotAvailableError
from .core.errors import QuotaExceededError as QuotaExceededError
from .core.errors import RateLimitError as RateLimitError
from .core.errors import ReplayMissError as ReplayMissError
from .core.errors import StreamInterruptedError as StreamInterruptedError
from .core.settings import check_environment_variables as check_environment_variables
from .costs.budgets.alerts import Alert as Alert
from .costs.budgets.budget import Budget as Budget
from .costs.budgets.budget import budget as budget
from .costs.controller import CostController as CostController
from .costs.ledger import Ledger as Ledger
from .costs.ledger import ledger as ledger
from .costs.monitor import LLMMonitor as LLMMonitor
from .notebook import load_ipython_extension as load_ipython_extension
from .notebook import unload_ipython_extension as unload_ipython_extension
from .notebook.chat.chat import Chat as Chat
from .notebook.compare.compare import acompare as acompare
from .notebook.compare.compare import compare as compare
from .notebook.compare.comparison import Comparison as Comparison
from .records import CallRecord as CallRecord
from .records import tags as tags

__version__: str
LLM_CONFIG: dict[str, typing.Any]
TOKEN_COSTS: dict[str, dict[str, float]]
