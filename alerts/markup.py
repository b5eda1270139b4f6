"""PURE: text that came from events, made safe and short enough for a Slack message."""

import re
import unicodedata

ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
ELLIPSIS = "…"
SLACK_USER = re.compile(r"slack:([UW][A-Z0-9]{1,20})")


def clean(text: str) -> str:
    """Drop control and direction-changing characters; white space becomes one space.

    >>> clean("a\\x00b\\n c\\u202e")
    'ab c'
    """
    spaced = " ".join(text.split())
    return "".join(char for char in spaced if unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn"})


def escape(text: str, limit: int) -> str:
    """Escape `text` for Slack in at most `limit` characters, never cutting an entity in two.

    >>> escape("a<b", 6), escape("a<b", 5)
    ('a&lt;b', 'a…')
    """
    whole = [ENTITIES.get(char, char) for char in clean(text)]
    if sum(map(len, whole)) <= limit:
        return "".join(whole)
    kept, length = [], len(ELLIPSIS)
    for piece in whole:
        length += len(piece)
        if length > limit:
            break
        kept.append(piece)
    return "".join(kept) + ELLIPSIS


def code(text: str, limit: int = 200) -> str:
    """Write a name so that no character in it formats the message.

    >>> code("a*b`c")
    "`a*b'c`"
    """
    return f"`{escape(text.replace('`', chr(39)), limit - 2) or ' '}`"


def prose(text: str, limit: int) -> str:
    """Escape a sentence and take the meaning from its formatting characters.

    >>> prose("_2_ * a_b", 80)
    '-2- ∗ a_b'
    """
    swapped = text.translate({ord("*"): "∗", ord("`"): "'", ord("~"): "∼"})
    return escape(re.sub(r"(?<!\w)_|_(?!\w)", "-", swapped), limit)


def person(actor: str, *, mention: bool) -> str:
    """Name who did something: `slack:U1` is a mention in Slack, `user:alice` is alice.

    >>> person("slack:U123", mention=True), person("user:alice", mention=False)
    ('<@U123>', 'alice')
    """
    match = SLACK_USER.fullmatch(actor)
    if match and mention:
        return f"<@{match[1]}>"
    name = actor.partition(":")[2] or actor
    return prose(name, 80) if mention else clean(name)[:80]
