"""How often Python looks for cycles: seldom, since what is kept for long has none."""

import gc


def collect_seldom() -> None:
    """Spare a process with millions of long-lived rows the full collections, which take seconds and find nothing."""
    gc.set_threshold(50_000, 20, 1_000)
