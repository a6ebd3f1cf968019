"""Times as integers of nanoseconds since 1970, because datetime stops at microseconds."""
import calendar
import re
import time

SECOND = 1_000_000_000
RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|z|[+-]\d\d:\d\d)$")

# A fixed instant for tests whose events need not be of today: 2024-03-01T12:00:00Z.
T0 = 1_709_294_400


def parse_ns(text):
    """RFC 3339 with any offset -> nanoseconds since 1970."""
    m = RFC3339.match(text)
    if not m:
        raise ValueError(f"not RFC 3339: {text!r}")
    year, month, day, hour, minute, second = (int(x) for x in m.groups()[:6])
    ns = calendar.timegm((year, month, day, hour, minute, second)) * SECOND
    ns += int((m[7] or "0").ljust(9, "0"))
    if m[8] not in "Zz":
        sign = -1 if m[8][0] == "-" else 1
        ns -= sign * (int(m[8][1:3]) * 3600 + int(m[8][4:6]) * 60) * SECOND
    return ns


def rfc3339(ns):
    """Nanoseconds since 1970 -> RFC 3339 in UTC with nine digits."""
    seconds, fraction = divmod(ns, SECOND)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{fraction:09d}Z"


def at(seconds):
    """Seconds after T0 -> RFC 3339; fractions are exact to the nanosecond for what a float holds."""
    return rfc3339(T0 * SECOND + round(seconds * SECOND))


def now_ns():
    return time.time_ns()
