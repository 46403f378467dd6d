"""What can go wrong in an invocation, and how it is told to Lambda without telling any data.

An exception's message may hold a token, a prompt or an upstream's credential, and Lambda puts `errorMessage` into
answers, logs and traces. So an exception is told by its type and the places it passed; only the runtime's own faults
and a handler's deliberate refusal carry a text.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

MAX_PLACES = 50
"""Frames kept per exception: enough to find the place, few enough for endless recursion."""
MAX_CAUSES = 5
_OUR_DIRECTORY = __file__.rpartition("/")[0] + "/"


class InvocationRefused(Exception):  # noqa: N818 - it refuses on purpose; nothing went wrong
    """A handler's deliberate refusal: Lambda is told exactly this message, and the log nothing.

    API Gateway makes a 401 of an authorizer's error whose message is exactly `Unauthorized`.
    """


class DeadlineExceeded(Exception):  # noqa: N818 - part of the runtime's public face
    """A stream was cut: only the time reserved for after-response work is left before Lambda kills the function."""


class Fault(Exception):  # noqa: N818 - the managed runtime's own word, in its error types
    """A failure with a name that Lambda knows, such as `Runtime.ImportModuleError`; its message holds no data."""

    def __init__(self, error_type: str, message: str, places: "list[str] | None" = None) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.places = places or []


def error_type(error: BaseException) -> str:
    """Give Lambda's `errorType`: a fault's own name, else the name of the exception's class."""
    return error.error_type if isinstance(error, Fault) else type(error).__name__


def describe(error: BaseException, request_id: str = "") -> "dict[str, Any]":
    """Give the error's JSON for Lambda: `errorMessage`, `errorType`, `requestId`, `stackTrace` (a list of strings)."""
    kind = error_type(error)
    if isinstance(error, InvocationRefused):
        message, stack = str(error), []
    elif isinstance(error, Fault):
        message, stack = str(error), error.places
    else:
        places = _places(error.__traceback__)
        message = f"{kind} at {places[-1].file}:{places[-1].line}" if places else kind
        stack = [str(place) for place in places] + _causes(error)
    return {"errorMessage": message, "errorType": kind, "requestId": request_id, "stackTrace": stack}


class _Place:
    """A place in the code; as a string it looks as in Python's tracebacks."""

    __slots__ = ("file", "line", "name")

    def __init__(self, file: str, line: int, name: str) -> None:
        self.file = file
        self.line = line
        self.name = name

    def __str__(self) -> str:
        return f'  File "{self.file}", line {self.line}, in {self.name}\n'


def _places(traceback: "TracebackType | None") -> list[_Place]:
    """Give the places an exception passed, outermost first, without the runtime's own if there are others."""
    places = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        places.append(_Place(code.co_filename, traceback.tb_lineno, code.co_qualname))
        traceback = traceback.tb_next
    others = [place for place in places if not place.file.startswith(_OUR_DIRECTORY)]
    return (others or places)[-MAX_PLACES:]


def _causes(error: BaseException) -> "list[str]":
    """Give the exceptions that led to this one, each by its type and its places."""
    lines: list[str] = []
    for _ in range(MAX_CAUSES):
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None:
            break
        lines += [f"Caused by {error_type(cause)}\n", *map(str, _places(cause.__traceback__))]
        error = cause
    return lines
