"""Which partition an agent's events go to: Kafka's own hash of the agent's family."""

from aiokafka.partitioner import murmur2


def family(agent: str) -> str:
    """Return the part of the name that an agent shares with the sub-agents it spawns.

    >>> family("coder-7/sub3")
    'coder-7'
    """
    return agent.partition("/")[0]


def partition_of(name: str, partitions: int, *, whole: bool = False) -> int:
    """Return the partition that Kafka's default partitioner picks for an agent's family, or for a `whole` name."""
    key = name if whole else family(name)
    return (int(murmur2(key.encode())) & 0x7FFFFFFF) % partitions
