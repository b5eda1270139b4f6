"""A map that forgets what was not asked for lately, at next to no cost."""


class Recent:
    """Keeps at least the `most` names that were put or looked up last, and at most twice as many."""

    __slots__ = ("_most", "old", "young")

    def __init__(self, most: int) -> None:
        self.young: dict[str, str] = {}
        self.old: dict[str, str] = {}
        self._most = most

    def get(self, name: str) -> str | None:
        """Return what is known of a name, and remember it for longer."""
        known = self.young.get(name)
        if known is None and (known := self.old.get(name)) is not None:
            self.put(name, known)
        return known

    def put(self, name: str, value: str) -> None:
        """Take in what is now known of a name."""
        self.young[name] = value
        if len(self.young) >= self._most:
            self.old, self.young = self.young, {}
