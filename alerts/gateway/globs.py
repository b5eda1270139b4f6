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


def says_of_all(glob: str, head: str) -> bool | None:
    """Tell whether a glob matches all names that begin with `head` (True) or none (False); None if it depends.

    >>> [says_of_all(glob, "agent:") for glob in ("agent:*", "*", "team:x", "agent:a*", "[at]*")]
    [True, True, False, None, None]
    """
    plain = re.split(r"[*?[]", glob, maxsplit=1)[0]
    if plain + "*" == glob and head.startswith(plain):
        return True
    return None if plain.startswith(head) or head.startswith(plain) else False
