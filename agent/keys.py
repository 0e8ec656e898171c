"""Series keys: a metric's name with its labels, in the one spelling the server stores."""


def key(metric: str, /, **labels: str) -> str:
    """`metric{label="value",other="value"}`: labels sorted by name, `\\` and `"` escaped, no spaces between.

    A character that cannot be printed (a control character, half of a surrogate pair in a file name) becomes `?`.
    """
    if not labels:
        return metric
    pairs = (f'{name}="{_escape(value)}"' for name, value in sorted(labels.items()))
    return f"{metric}{{{','.join(pairs)}}}"


def _escape(value: str) -> str:
    if not value.isprintable():
        value = "".join(letter if letter.isprintable() else "?" for letter in value)
    return value.replace("\\", "\\\\").replace('"', '\\"')
