"""What a client sent -> the columns that must come back."""
import json


class AsJson:
    """The column is JSON text of this value (arrays; maps nested too deep)."""

    def __init__(self, value):
        self.value = value

    def __repr__(self):
        return f"JSON text of {self.value!r}"


def columns(data, prefix=""):
    """Flattened as wideye does: maps with dots, arrays as JSON text, null left out."""
    out = {}
    for k, v in data.items():
        if isinstance(v, dict):
            out |= columns(v, f"{prefix}{k}.")
        elif isinstance(v, (list, tuple)):
            out[prefix + k] = AsJson(list(v))
        elif v is not None:
            out[prefix + k] = v
    return out


def same(got, want):
    if isinstance(want, AsJson):
        return isinstance(got, str) and json.loads(got) == want.value
    if isinstance(want, bool) or isinstance(got, bool):
        return got is want
    if isinstance(want, (int, float)) and isinstance(got, (int, float)):
        return got == want
    return type(got) is type(want) and got == want


def check(got, want, more=()):
    """Every expected column with its value; nothing else but the columns named in `more` (a name ending in * is a prefix)."""
    short = lambda v: (repr(v)[:80] + "…") if len(repr(v)) > 80 else repr(v)
    wrong = [f"{k}: got {short(got[k]) if k in got else 'nothing'}, sent {short(v)}" for k, v in want.items() if k not in got or not same(got[k], v)]
    allowed = lambda k: any(k.startswith(m[:-1]) if m.endswith("*") else k == m for m in more)
    wrong += [f"{k}: got {short(v)}, never sent" for k, v in got.items() if k not in want and not allowed(k)]
    assert not wrong, "\n".join(wrong)
