"""`brakeline-gateway`, or `python -m brakeline_gateway`."""

import sys


def run() -> int:
    """Run the command, or say what has to be installed for it; returns its exit code."""
    try:
        from .main import main
    except ModuleNotFoundError as error:
        install = "pip install 'brakeline-gateway[sidecar]'"
        print(f"brakeline-gateway: the command needs {error.name}, which isn't installed: {install}", file=sys.stderr)
        return 2
    return main()


if __name__ == "__main__":
    sys.exit(run())
