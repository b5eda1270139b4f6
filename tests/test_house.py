"""The house rules, as a test: who may import what, what is pure, and how long things may be."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("detectors", "alerts", "streams")
MAY_IMPORT = {"detectors": {"detectors"}, "alerts": {"alerts", "detectors"}, "streams": set(PACKAGES)}

PURE = (
    "detectors/*.py",
    "alerts/{decision,policy,incident,incidents,lifecycle,grouping,commands,message,coverage,obedience}.py",
    "alerts/gateway/{guard,wire}.py",
    "streams/{attribution,events,effects,engine,windows,rows,teams,duplicates,obedience,pulse,sentence,sightings,fence}.py",
)
IMPURE_MODULES = {
    *("asyncio", "http", "io", "logging", "os", "pathlib", "secrets", "select", "shutil", "signal", "socket", "ssl"),
    *("subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid"),
    *("aiohttp", "aiokafka", "confluent_kafka", "faust", "httpx", "mode", "prometheus_client", "requests", "slack_sdk"),
}
IMPURE_CALLS = {"now", "utcnow", "today", "open", "print", "input", "breakpoint", "exec", "eval"}

# A vendor, and the only files that may import it; an empty list means none of the packages.
OWNERS = {
    "slack_sdk": ["alerts/slack.py"],
    "faust": ["streams/transport.py", "streams/worker.py", "streams/table.py", "streams/bench/faust_agent.py"],
    "mode": ["streams/transport.py", "streams/worker.py"],
    "confluent_kafka": ["streams/broker.py"],
    "genai_prices": ["streams/prices.py"],
    "river": ["detectors/*.py"],
    "litellm": ["alerts/gateway/litellm.py"],
    "httpx2": ["alerts/gateway/httpx2.py"],
    "httpx": ["alerts/gateway/httpx.py", "streams/bench/gateways.py"],
    "jinja2": ["streams/web/*.py"],
    "jwt": ["streams/web/oidc.py"],
    "playwright": [],
    "pandas": [],
    "pyarrow": ["streams/replay.py"],
    "scipy": [],
    "requests": [],
    "pytest": [],
    "hypothesis": [],
}
GATEWAY_MAY_IMPORT = {
    "msgspec",
    "cryptography",
    "aiokafka",
    "aiohttp",
    "prometheus_client",
    "httpx",
    "httpx2",
    "litellm",
}

FILE_LINES_MAX, FUNCTION_LINES_MAX = 300, 50
FILE_LINES_AIM, FUNCTION_LINES_AIM = 200, 30


def matching(patterns: tuple[str, ...] | list[str]) -> set[Path]:
    return {path for pattern in patterns for name in braces(pattern) for path in ROOT.glob(name)}


def braces(pattern: str) -> list[str]:
    found = re.fullmatch(r"(.*)\{(.*)\}(.*)", pattern)
    return [found[1] + name + found[3] for name in found[2].split(",")] if found else [pattern]


def sources(*folders: str) -> list[Path]:
    files = chain.from_iterable((ROOT / folder).rglob("*.py") for folder in folders)
    return sorted(path for path in files if not {"node_modules", "target"} & set(path.parts))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path) -> Iterator[tuple[int, str, int]]:
    """Yield level (0 is absolute), top-level name and line of each import, those inside functions too."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name.split(".")[0], node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield node.level, (node.module or "").split(".")[0], node.lineno


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def line_count(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def at(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def called(node: ast.Call) -> str:
    target = node.func
    return target.attr if isinstance(target, ast.Attribute) else target.id if isinstance(target, ast.Name) else ""


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_one_way(package: str) -> None:
    wrong = [
        f"{at(path, line)} imports {name}"
        for path in sources(package)
        for level, name, line in imports(path)
        if level == 0 and name in {*PACKAGES, "tests"} - MAY_IMPORT[package]
    ]

    assert wrong == []


def test_the_gateway_kit_stands_alone() -> None:
    """It is installed without us: relative imports that stay inside, and few third parties."""
    import sys

    allowed = GATEWAY_MAY_IMPORT | set(sys.stdlib_module_names)
    wrong = [
        f"{at(path, line)} imports {name or 'a parent'}"
        for path in sources("alerts/gateway")
        for level, name, line in imports(path)
        if (level == 0 and name not in allowed) or level > len(path.relative_to(ROOT / "alerts/gateway").parts)
    ]

    assert wrong == []


@pytest.mark.parametrize("vendor", OWNERS)
def test_a_vendor_is_imported_only_by_its_owner(vendor: str) -> None:
    owners = matching(OWNERS[vendor])
    wrong = [
        at(path, line)
        for path in sources(*PACKAGES)
        for level, name, line in imports(path)
        if level == 0 and name == vendor and path not in owners
    ]

    assert wrong == []


def test_each_import_name_has_one_owner() -> None:
    """Generic names are fine only as long as nothing else installs them."""
    distributions = packages_distributions()

    assert {
        name: distributions.get(name, []) for name in PACKAGES if set(distributions.get(name, [])) - {"brakeline"}
    } == {}


def test_the_pure_core_has_no_clock_and_no_io() -> None:
    wrong = []
    for path in sorted(matching(PURE)):
        wrong += [
            f"{at(path, line)} imports {name}"
            for level, name, line in imports(path)
            if level == 0 and name in IMPURE_MODULES
        ]
        wrong += [
            f"{at(path, node.lineno)} calls {called(node)}"
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Call) and called(node) in IMPURE_CALLS
        ]

    assert wrong == []


def test_the_pure_core_keeps_no_globals() -> None:
    wrong = [
        at(path, node.lineno)
        for path in sorted(matching(PURE))
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Global)
    ]

    assert wrong == []


def test_no_file_is_too_long() -> None:
    sizes = {str(path.relative_to(ROOT)): line_count(path) for path in sources(*PACKAGES, "tests", "deploy")}
    over_aim = {name: size for name, size in sizes.items() if size > FILE_LINES_AIM}

    assert {name: size for name, size in sizes.items() if size > FILE_LINES_MAX} == {}
    assert len(over_aim) <= len(sizes) / 5, f"most files should be under {FILE_LINES_AIM} lines: {over_aim}"


def test_no_function_is_too_long() -> None:
    sizes = {
        f"{at(path, function.lineno)} {function.name}": length(function)
        for path in sources(*PACKAGES, "tests", "deploy")
        for function in functions(path)
    }
    over_aim = {name: size for name, size in sizes.items() if size > FUNCTION_LINES_AIM}

    assert {name: size for name, size in sizes.items() if size > FUNCTION_LINES_MAX} == {}
    assert len(over_aim) <= len(sizes) / 20, f"most functions should be under {FUNCTION_LINES_AIM} lines: {over_aim}"


def test_test_files_need_no_package() -> None:
    names = [path.name for path in sources("tests")]

    assert [name for name in names if name == "__init__.py"] == []
    assert sorted(name for name in set(names) if name != "conftest.py" and names.count(name) > 1) == []


def test_tests_wait_for_conditions_and_never_just_sleep() -> None:
    """A poll may sleep, inside a function that says what it does: `wait...`, `until...`, `eventually...`."""
    polls = ("wait", "until", "eventually")
    wrong = []
    for path in sources("tests"):
        excused = {
            node
            for function in functions(path)
            if function.name.lstrip("_").startswith(polls)
            for node in ast.walk(function)
        }
        wrong += [
            at(path, node.lineno)
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Call)
            and called(node) == "sleep"
            and node not in excused
            and ast.unparse(node)[-3:] != "(0)"
        ]

    assert wrong == []


def test_nothing_names_this_machine() -> None:
    """No absolute path of a developer's machine in anything that ships."""
    pattern = re.compile(r"/(?:work|root|home)/\w|/tmp/\w")
    wrong = [
        f"{at(path, number)} {line.strip()[:80]}"
        for path in sources(*PACKAGES)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]

    assert wrong == []
