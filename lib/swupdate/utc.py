"""Unix seconds as RFC 3339 text in UTC; negative before 1970, years 0000 to 9999. A part of phases."""

from port import const

_ERA_DAYS = const(146097)  # in 400 years
_TO_1970 = const(719468)  # days from 0000-03-01 to 1970-01-01


def format(unix):
    """Unix seconds as `YYYY-MM-DDThh:mm:ssZ`."""
    days, rest = divmod(unix, 86400)
    days += _TO_1970
    era, days = divmod(days, _ERA_DAYS)
    year = (days - days // 1460 + days // 36524 - days // 146096) // 365
    days -= year * 365 + year // 4 - year // 100
    month = (5 * days + 2) // 153
    day = days - (153 * month + 2) // 5 + 1
    month += 3 if month < 10 else -9
    year += era * 400 + (month < 3)
    return "%04d-%02d-%02dT%02d:%02d:%02dZ" % (year, month, day, rest // 3600, rest // 60 % 60, rest % 60)
