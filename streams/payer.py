"""PURE: who a call is for."""

from msgspec import Struct

PayerKey = tuple[str | None, ...]
"""A payer's fields in their order, as a plain tuple: it is made for every event."""


class Payer(Struct, frozen=True, array_like=True):
    """Who a call is for; an empty string where its event doesn't say."""

    team: str = ""
    product: str = ""
    environment: str = ""
    cost_center: str = ""
    use_case: str = ""
    model: str = ""


def payer_of(key: PayerKey) -> Payer:
    """Return a payer by name.

    >>> payer_of(("research", None, "prod", None, None, "gpt-4o")).product
    ''
    """
    return Payer(*(field or "" for field in key))
