"""What Lambda is told of an exception, and what it is not."""

import pytest

from sallyport.runtime.errors import MAX_PLACES, Fault, describe


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    with pytest.raises(type(error)) as caught:
        raise error from cause
    return caught.value


def test_causes_are_told_by_type_and_place() -> None:
    described = describe(raised(ValueError("sk-secret"), cause=raised(KeyError("sk-secret"))))
    place = described["stackTrace"].index("Caused by KeyError\n") + 1
    assert described["stackTrace"][place].startswith(f'  File "{__file__}", line ')
    assert "sk-secret" not in str(described)


def test_a_suppressed_context_is_left_out() -> None:
    error = ValueError()
    error.__context__ = KeyError()
    assert "Caused by" not in str(describe(raised(error, cause=None)))


def test_a_context_is_told_as_a_cause() -> None:
    error = raised(ValueError())
    error.__context__, error.__suppress_context__ = raised(KeyError()), False
    assert "Caused by KeyError\n" in describe(error)["stackTrace"]


def test_endless_recursion_is_cut_to_its_innermost_places() -> None:
    def endless() -> None:
        endless()

    try:
        endless()
    except RecursionError as error:
        described = describe(error)
    assert len(described["stackTrace"]) == MAX_PLACES
    assert described["errorType"] == "RecursionError"


def test_an_error_that_was_never_raised_is_told_by_its_type() -> None:
    assert describe(ValueError("sk-secret"), "id-1") == {
        "errorMessage": "ValueError",
        "errorType": "ValueError",
        "requestId": "id-1",
        "stackTrace": [],
    }


def test_a_fault_is_told_by_its_own_name_and_message() -> None:
    described = describe(raised(Fault("Runtime.X", "what is wrong", ["  File x\n"])))
    assert (described["errorType"], described["errorMessage"]) == ("Runtime.X", "what is wrong")
    assert described["stackTrace"] == ["  File x\n"]
