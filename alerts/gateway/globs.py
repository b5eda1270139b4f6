"""Whether a name matches a glob, as `fnmatchcase` says it, and as fast as most globs allow."""

import re
from collections.abc import Callable
from fnmatch import translate


def matcher(glob: str) -> Callable[[str], bool]:
    """Return the test for one glob.

    >>> [matcher("agent:*")(each) for each in ("agent:a", "team:a")]
    [True, False]
    """
    plain = glob.removesuffix("*")
    if not any(special in plain for special in "*?["):
        return plain.__eq__ if plain == glob else lambda name: name.startswith(plain)
    match = re.compile(translate(glob)).match
    return lambda name: match(name) is not None
