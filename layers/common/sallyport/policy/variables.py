"""How the functions read their environment: each variable by its kind, and a reason for one that is broken.

The templates' patterns have looked at every value before; this is for what they can't say, and for whoever changes a
function by hand.
"""

import re
from collections.abc import Callable, Mapping

from sallyport.policy.urls import check_url

_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]{1,2}")


class ConfigurationError(Exception):
    """A variable is missing or broken; the message names it and says why, and is for the operator alone."""


class Variables:
    """Reads variables by their name after `SALLYPORT_`. Every method raises `ConfigurationError`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def optional(self, name: str) -> str:
        """Give a text, empty where there is none."""
        return self._environ.get(f"SALLYPORT_{name}", "").strip()

    def text(self, name: str) -> str:
        """Give a text that has to be there."""
        text = self.optional(name)
        if not text:
            raise ConfigurationError(f"SALLYPORT_{name}: must be set")
        return text

    def items(self, name: str) -> tuple[str, ...]:
        """Give what is separated by commas; there may be nothing."""
        return tuple(item.strip() for item in self.optional(name).split(",") if item.strip())

    def regions(self, name: str) -> tuple[str, ...]:
        """Give at least one region."""
        regions = self.items(name)
        if not regions or any(_REGION.fullmatch(region) is None for region in regions):
            raise ConfigurationError(f"SALLYPORT_{name}: must name regions, such as eu-central-1")
        return regions

    def choice[T](self, name: str, values: Mapping[str, T], *, default: str = "") -> T:
        """Give what a word stands for."""
        text = self.optional(name) or default or self.text(name)
        if text not in values:
            raise ConfigurationError(f"SALLYPORT_{name}: must be one of {', '.join(values)}")
        return values[text]

    def number(self, name: str, minimum: float, maximum: float, *, default: str = "") -> float:
        """Give a number within bounds."""
        text = self.optional(name) or default or self.text(name)
        return self.checked(name, text, lambda text: _bounded(float(text), minimum, maximum))

    def count(self, name: str, minimum: int, maximum: int, *, default: int = 0) -> int:
        """Give a whole number within bounds."""
        number = self.number(name, minimum, maximum, default=str(default))
        if number != int(number):
            raise ConfigurationError(f"SALLYPORT_{name}: must be a whole number")
        return int(number)

    def url(self, name: str) -> str:
        """Give a URL that prompts and keys may go to."""
        return self.checked(name, self.text(name), check_url)

    @staticmethod
    def checked[T](name: str, text: str, check: Callable[[str], T]) -> T:
        """Give what `check` makes of a text; what it says in a `ValueError` is the reason."""
        try:
            return check(text)
        except ValueError as error:
            raise ConfigurationError(f"SALLYPORT_{name}: {error}") from None


def _bounded(number: float, minimum: float, maximum: float) -> float:
    if not minimum <= number <= maximum:
        raise ValueError(f"must be from {minimum:g} to {maximum:g}")
    return number
