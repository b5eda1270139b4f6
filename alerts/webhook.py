"""A generic webhook: each incident as JSON, signed, at least once."""

import hashlib
import hmac
from collections.abc import Callable

from alerts.http import post_json
from alerts.message import View
from alerts.published import encode_alert
from alerts.sink import Place

SIGNATURE_HEADER = "X-Brakeline-Signature"


def sign(secret: str, body: bytes, at_s: float) -> str:
    """Return the signature header: `t=<Unix seconds>,v1=<HMAC-SHA256 of "t.body" in hexadecimal>`."""
    stamp = str(int(at_s))
    digest = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest}"


def is_genuine(secret: str, body: bytes, header: str, now_s: float, tolerance_s: float = 300.0) -> bool:
    """Whether a receiver may believe `body`.

    >>> is_genuine("s", b"{}", sign("s", b"{}", 100.0), 160.0)
    True
    >>> is_genuine("s", b"{}", sign("s", b"{}", 100.0), 900.0)
    False
    """
    stamp = header.partition(",")[0].removeprefix("t=")
    if not (stamp.isascii() and stamp.isdigit()) or abs(now_s - int(stamp)) > tolerance_s:
        return False
    return hmac.compare_digest(sign(secret, body, int(stamp)).encode(), header.encode("utf-8", "replace"))


class Webhook:
    """A sink that POSTs `Alert` documents. Receivers keep the highest `revision` of an `id`."""

    def __init__(self, name: str, url: str, secret: str, now_s: Callable[[], float]) -> None:
        self.name = name
        self._url = url
        self._secret = secret
        self._now_s = now_s

    async def post(self, view: View) -> Place:
        """Send the incident."""
        body = encode_alert(view)
        headers = {"X-Brakeline-Incident": view.incident.id, "X-Brakeline-Revision": str(view.incident.revision)}
        if self._secret:
            headers[SIGNATURE_HEADER] = sign(self._secret, body, self._now_s())
        await post_json(self._url, body, headers)
        return Place("webhook", view.incident.id)

    async def update(self, place: Place, view: View) -> None:
        """Send the incident as it is now."""
        await self.post(view)

    async def nudge(self, place: Place, view: View) -> None:
        """Programs need no reminder."""

    async def find(self, incident_id: str, since_s: float) -> Place | None:
        """A receiver can't be asked: it may get a revision twice."""
        return None
