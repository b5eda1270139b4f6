"""When people are told: quiet hours by severity, and how often what nobody has acknowledged is said again."""

import re
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field

from streams.settings.section import NotNegative, Section

Severity = Literal["info", "warning", "critical"]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Some = TypeVar("Some", bound=tuple[Any, ...])
CLOCK = r"^([01]\d|2[0-3]):[0-5]\d$"
WEEK: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _as_clock(value: Any) -> Any:
    """YAML 1.1 reads an unquoted 22:00 as the number of its minutes."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 24 * 60:
        return f"{value // 60:02}:{value % 60:02}"
    if not isinstance(value, str) or not re.fullmatch(CLOCK, value):
        raise ValueError('write hours and minutes, such as "22:00"')
    return value


def _is_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("no such time zone; write its IANA name, such as Europe/Berlin") from None
    return name


def _names_some(found: Some) -> Some:
    if not found:
        raise ValueError("name at least one, or leave it out")
    return found


Clock = Annotated[str, Field(pattern=CLOCK), BeforeValidator(_as_clock)]


class QuietHours(Section):
    """A time of day in which news of some severities waits; what is held is told when it ends."""

    start: Clock = "22:00"
    end: Clock = "07:00"
    """At or before `start` it is of the next day; the same as `start` makes 24 hours."""
    zone: Annotated[str, AfterValidator(_is_zone)] = "UTC"
    """IANA name of the time zone."""
    days: Annotated[tuple[Day, ...], AfterValidator(_names_some)] = WEEK
    """Days on which it starts."""
    hold: Annotated[tuple[Severity, ...], AfterValidator(_names_some)] = ("info", "warning")
    """Severities that wait: info (shadow mode), warning, critical (calls are refused)."""

    def __str__(self) -> str:
        """Say it in a line.

        >>> print(QuietHours(zone="Europe/Berlin", days=["fri", "sat"]))
        22:00 to 07:00 Europe/Berlin on fri, sat (info, warning wait)
        """
        days = "" if set(self.days) == set(WEEK) else f" on {', '.join(self.days)}"
        return f"{self.start} to {self.end} {self.zone}{days} ({', '.join(self.hold)} wait)"


class Repeat(Section):
    """Seconds after which what nobody has acknowledged is said again, by severity; 0 never."""

    info: NotNegative = 0.0
    warning: NotNegative = 0.0
    critical: NotNegative = 3_600.0


class Notify(Section):
    """When Slack, the log and the pager are told. Programs (webhooks) are told at once, quiet hours or not."""

    repeat_s: Repeat = Repeat()
    quiet_hours: tuple[QuietHours, ...] = ()
