"""Dates and times as RFC 3339 writes them, and as whole Unix seconds. Negative before 1970; years 0000 to 9999.

Both are parts of phases on the device; writing is `swupdate.utc`.
"""

from port import const

from swupdate.utc import format  # noqa: F401 - the other direction

_MAX_LENGTH = const(64)  # of updatetime, in OCF's model
_FIRST = const(-62167219200)  # 0000-01-01T00:00:00Z
_LAST = const(253402300799)  # 9999-12-31T23:59:59Z
_TO_1970 = const(719468)  # days from 0000-03-01 to 1970-01-01


def parse(text):
    """Unix seconds of an RFC 3339 date-time; fractions of a second are cut off. Raises ValueError.

    A leap second (23:59:60 UTC) is the first second of the next day, as in Unix time.
    """
    if len(text) > _MAX_LENGTH:
        raise ValueError("a time of more than %d characters" % _MAX_LENGTH)
    try:
        return _parse(text.upper())
    except IndexError:
        raise ValueError("a time that ends too early")  # noqa: B904 - no `from` on MicroPython


def _parse(text):
    if text[4] != "-" or text[7] != "-" or text[10] != "T" or text[13] != ":" or text[16] != ":":
        raise ValueError("a time is written as 2030-01-09T14:30:00Z")
    year, month, day = _number(text, 0, 4, 9999), _number(text, 5, 2, 12), _number(text, 8, 2, 31)
    hour, minute, second = _number(text, 11, 2, 23), _number(text, 14, 2, 59), _number(text, 17, 2, 60)
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if month == 2:
        days = 29 if leap else 28
    else:
        days = 30 if month in (4, 6, 9, 11) else 31
    if not month or not 0 < day <= days:
        raise ValueError("a day that no calendar has")
    at = 19
    if text[at] == ".":
        at += 1
        while "0" <= text[at] <= "9":
            at += 1
        if at == 20:
            raise ValueError("a fraction without digits")
    unix = _days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second
    sign = text[at]
    if sign == "Z":
        at += 1
    elif sign in "+-" and text[at + 3] == ":":
        offset = _number(text, at + 1, 2, 23) * 3600 + _number(text, at + 4, 2, 59) * 60
        unix += offset if sign == "-" else -offset
        at += 6
    else:
        raise ValueError("a time without Z or an offset such as +01:00")
    if at != len(text):
        raise ValueError("something follows the time")
    if second == 60 and unix % 86400:
        raise ValueError("a leap second is at 23:59:60 UTC")
    if not _FIRST <= unix <= _LAST:
        raise ValueError("a year that cannot be written")
    return unix


def _number(text, at, width, highest):
    value = 0
    for i in range(at, at + width):
        if not "0" <= text[i] <= "9":
            raise ValueError("a time is written as 2030-01-09T14:30:00Z")
        value = value * 10 + ord(text[i]) - 48
    if value > highest:
        raise ValueError("%d is too high in a time" % value)
    return value


def _days(year, month, day):
    """Days since 1970 in the proleptic Gregorian calendar; years begin in March so that leap days come last."""
    if month < 3:
        year -= 1
        month += 12
    return year * 365 + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 1 - _TO_1970
