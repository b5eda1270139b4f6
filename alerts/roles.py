"""Who may act: Slack users and user groups, and the role of each."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from alerts.clicks import RANKS, Role
from alerts.sink import SinkError

FRESH_S = 300.0
STALE_S = 3_600.0


class Roles:
    """Resolves a Slack user to a role; the members of groups (`S...`) are remembered for five minutes.

    Where Slack can't be asked, members known within the last hour still count; nobody else does.
    """

    def __init__(
        self,
        granted: Mapping[str, Role],
        members: Callable[[str], Awaitable[frozenset[str]]],
        now_s: Callable[[], float],
    ) -> None:
        self._granted = granted
        self._members = members
        self._now_s = now_s
        self._known: dict[str, tuple[float, frozenset[str]]] = {}

    async def role_of(self, user: str) -> Role | None:
        """Return the highest role granted to a user, directly or through a group."""
        direct = self._granted.get(user)
        rank = RANKS[direct] if direct else -1
        groups = [group for group, role in self._granted.items() if group.startswith("S") and RANKS[role] > rank]
        found = await asyncio.gather(*map(self._users, groups))
        roles = [self._granted[group] for group, users in zip(groups, found, strict=True) if user in users]
        return max([*roles, *([direct] if direct else [])], key=RANKS.__getitem__, default=None)

    async def _users(self, group: str) -> frozenset[str]:
        asked_s, users = self._known.get(group, (float("-inf"), frozenset[str]()))
        age_s = self._now_s() - asked_s
        if age_s < FRESH_S:
            return users
        try:
            users = await self._members(group)
        except SinkError:
            return users if age_s < STALE_S else frozenset()
        self._known[group] = (self._now_s(), users)
        return users
