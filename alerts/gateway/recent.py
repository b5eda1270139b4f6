"""A map that forgets what was not asked for lately, at next to no cost."""


class Recent:
    """Keeps at least the `most` names that were put or looked up last, and at most twice as many."""

    __slots__ = ("_most", "holds_any", "old", "young")

    def __init__(self, most: int) -> None:
        self.young: dict[str, str] = {}
        self.old: dict[str, str] = {}
        self.holds_any = False
        self._most = most

    def get(self, name: str) -> str | None:
        """Return what is known of a name, and remember it for longer."""
        known = self.young.get(name)
        if known is None and (known := self.old.get(name)) is not None:
            self.put(name, known)
        return known

    def setdefault(self, name: str, value: str) -> str:
        """Return what is known of a name; `value` if nothing was."""
        known = self.young.get(name) or self.old.get(name, value)
        self.put(name, known)
        return known

    def put(self, name: str, value: str) -> None:
        """Take in what is now known of a name."""
        self.young[name] = value
        self.holds_any = True
        if len(self.young) >= self._most:
            self.old, self.young = self.young, {}
