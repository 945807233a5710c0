"""The plotter's modules and scripts: which use which."""

import ast
import graphlib

from conftest import ROOT

PACKAGE = ROOT / "python" / "lossatlas" / "plotting"


def module_of(path):
    parts = path.relative_to(PACKAGE.parents[1]).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in PACKAGE.rglob("*.py")}


def imports_of(name, path):
    """The package's modules that this one imports, within functions as well."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        if isinstance(node, ast.ImportFrom):
            base = package.split(".")[:len(package.split(".")) + 1 - node.level] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            found = [f"{source}.{alias.name}" for alias in node.names]
            yield from (each if each in MODULES else source for each in found if each in MODULES or source in MODULES)


def test_no_module_imports_itself_by_way_of_others():
    graph = {name: set(imports_of(name, path)) - {name} for name, path in MODULES.items()}
    assert graph["lossatlas.plotting.command"] >= {"lossatlas.plotting.options", "lossatlas.plotting.figures"}
    within_functions = {"lossatlas.plotting.page.document", "lossatlas.plotting.animation"}
    assert graph["lossatlas.plotting.figures"] >= within_functions
    graphlib.TopologicalSorter(graph).prepare()  # CycleError names the cycle


def test_imports_are_found_by_the_syntax_tree_alone():
    for path in MODULES.values():
        assert "importlib" not in path.read_text(encoding="utf-8")


def test_modules_stand_in_the_order_in_which_they_use_each_other():
    """As plotting/__init__.py lists them; a folder is one of them."""
    text = ast.get_docstring(ast.parse(MODULES["lossatlas.plotting"].read_text(encoding="utf-8")))
    listed = [line.split()[0] for line in text.splitlines()[4:]]
    place = {name: n for n, name in enumerate(listed)}
    parts = {name: name.split(".")[2] for name in MODULES if name not in ("lossatlas.plotting", "lossatlas.plotting.__main__")}
    assert sorted(set(parts.values())) == sorted(listed)
    for name, part in parts.items():
        for used in imports_of(name, MODULES[name]):
            assert used == "lossatlas.plotting" or parts[used] == part or place[parts[used]] < place[part], f"{name} uses {used}"
