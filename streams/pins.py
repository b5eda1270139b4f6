"""The versions of the libraries on whose private parts this worker leans."""

from importlib.metadata import version

PINS = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0"}


def check_pins() -> None:
    """Raise RuntimeError when Faust or aiokafka isn't the version that this driver was written for."""
    wrong = [f"{name} {version(name)} instead of {pin}" for name, pin in PINS.items() if version(name) != pin]
    if wrong:
        raise RuntimeError(f"the batch driver needs exact versions, and found {', '.join(wrong)}")
