"""The process that `bootstrap` starts: load the handler, then serve events until Lambda ends it."""

import gc
import os
import sys

from sallyport.runtime.client import AnswerRefusedError, RuntimeApi, RuntimeApiError
from sallyport.runtime.errors import describe
from sallyport.runtime.handlers import load_handler
from sallyport.runtime.loop import Loop
from sallyport.runtime.reporting import report

INTERRUPTED = 130


def main() -> None:
    """Serve the function that the environment names; the process ends with this."""
    sys.exit(run())


def run() -> int:
    """Serve until the Runtime API is gone. Gives the exit code."""
    _write_lines_at_once()
    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        return _serve(api)
    except RuntimeApiError as error:
        report("the Runtime API failed", {"reason": str(error)})
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        api.close()


def _serve(api: RuntimeApi) -> int:
    gc.disable()  # imports make objects that stay; looking through them for garbage only costs
    try:
        handler = load_handler(os.environ.get("_HANDLER", ""), os.environ)
    except Exception as error:  # noqa: BLE001 - whatever keeps a function from starting is Lambda's to know
        _fail_init(api, error)
        return 1
    gc.freeze()
    gc.enable()
    Loop(api, handler).run()
    return 0


def _fail_init(api: RuntimeApi, error: Exception) -> None:
    described = describe(error)
    report("the function can't start", described)
    try:
        api.fail_init(described)
    except AnswerRefusedError as refusal:
        report("Lambda refused the answer", {"status": refusal.status})


def _write_lines_at_once() -> None:
    """Let each line of output reach the log as it is printed, whatever bytes it holds."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
