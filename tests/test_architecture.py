"""The floor plan of ARCHITECTURE.md, held true."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "genii"
ARCHITECTURE = Path(__file__).parent.parent / "ARCHITECTURE.md"

LAYERS = (
    {"cli"}, {"web", "top"}, {"deploy"}, {"fleet"}, {"control", "supervisord"}, {"config"}, {"daemon"}, {"serve"},
    {"gearman"}, {"supervise"}, {"events"}, {"patterns"}, {"system"},
)  # fmt: skip
"""From the top down: each may use its own floor, those below, and the vocabulary."""
VOCABULARY = frozenset({"errors", "clock", "backoff", "units", "version", "record", "typed"})
IMPURE = frozenset(
    {
        "os", "io", "socket", "select", "selectors", "asyncio", "subprocess", "threading", "multiprocessing", "time",
        "random", "logging", "shutil", "tempfile", "ctypes", "resource", "fcntl", "mmap",
    }
)  # fmt: skip
"""What a module that promises "No I/O." must not import. (``signal`` is allowed: its names are numbers.)"""

MODULES = sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    """Return the dotted name of a module below ``genii``."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, *, typing_too: bool = True) -> set[str]:
    """Return the full names of all modules that a module imports, inside functions too."""
    found: set[str] = set()
    for node in walk(ast.parse(path.read_text()), typing_too=typing_too):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def walk(tree: ast.AST, *, typing_too: bool) -> list[ast.AST]:
    """Return all nodes; without ``typing_too`` those under ``if TYPE_CHECKING`` are left out."""
    nodes, todo = [], [tree]
    while todo:
        node = todo.pop()
        nodes.append(node)
        if isinstance(node, ast.If) and not typing_too and "TYPE_CHECKING" in ast.unparse(node.test):
            todo += node.orelse
        else:
            todo += ast.iter_child_nodes(node)
    return nodes


def layer(module: str) -> int | None:
    """Return the number of the layer a module below ``genii`` is in; None: it is vocabulary or the package itself."""
    top = module.split(".", maxsplit=1)[0]
    return next((number for number, floor in enumerate(LAYERS) if top in floor), None)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    module = name_of(path)
    mine = layer(module)
    for imported in imports(path):
        if not imported.startswith("genii."):
            continue
        target = imported.removeprefix("genii.")
        if module.startswith("testing") or not module:  # the package itself only names what it offers
            continue
        assert not target.startswith("testing"), f"{module} uses the fakes"
        theirs = layer(target)
        if mine is None and module.split(".")[0] in VOCABULARY:
            assert theirs is None, f"the vocabulary ({module}) imports {imported}"
        elif mine is not None and theirs is not None:
            assert theirs >= mine, f"{module} imports {imported}, which is above it"


def test_no_module_imports_in_a_circle() -> None:
    known = {name_of(path): path for path in MODULES}
    graph = {
        module: {
            target
            for imported in imports(path, typing_too=False)
            if (target := imported.removeprefix("genii.")) in known and target != module and imported != "genii"
        }
        for module, path in known.items()
    }
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path, module])
        if module not in done:
            for target in sorted(graph[module]):
                visit(target, (*path, module))
            done.add(module)

    for module in graph:
        if module:
            visit(module, ())


PURE = [path for path in MODULES if "No I/O." in (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0]
        or (ast.get_docstring(ast.parse(path.read_text())) or "").rstrip().endswith("No I/O.")]  # fmt: skip


@pytest.mark.parametrize("path", PURE, ids=name_of)
def test_pure_modules_do_no_input_or_output(path: Path) -> None:
    used = {imported.split(".")[0] for imported in imports(path, typing_too=False)}
    assert not used & IMPURE
    calls = {
        node.func.id
        for node in walk(ast.parse(path.read_text()), typing_too=False)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"open", "print", "input"}


@pytest.mark.parametrize("name", ["supervise.machine", "supervise.plan", "supervise.model", "supervise.record"])
def test_the_deciding_modules_promise_purity(name: str) -> None:
    assert SOURCE.joinpath(*name.split(".")).with_suffix(".py") in PURE


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is_for_and_what_it_offers(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    if path.name in ("__init__.py", "__main__.py"):
        return
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)}
    if not {name for name in names if not name.startswith("_")}:
        return
    listed = [
        element.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        for element in getattr(node.value, "elts", ())
        if isinstance(element, ast.Constant)
    ]
    executed_alone = {"bootstrap", "launcher"}
    assert listed or path.stem in executed_alone, f"{path} has no __all__"


def test_the_folders_are_those_of_the_floor_plan() -> None:
    text = ARCHITECTURE.read_text()
    for folder in sorted(path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"):
        assert f"\n  {folder}/" in text, f"{folder} is not in ARCHITECTURE.md"


def test_the_package_is_cheap_to_import() -> None:
    """Importing genii loads nothing that its users may not need."""
    code = "import sys; before = set(sys.modules); import genii; print(*sorted(set(sys.modules) - before))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert found == ["__future__", "genii"]
