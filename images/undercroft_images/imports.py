"""What a Python source imports, read from its syntax tree: nothing is run.

As a program it reads the sources that a file of JSON names, and prints what each imports, as JSON. So the builder's
Python reads the appliance's standard library, whose grammar may be newer than that of the Python that builds.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from encodings import normalize_encoding
from encodings.aliases import aliases
from pathlib import Path
from typing import Final

_CATCHING: Final = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
_CODERS: Final = frozenset({"encode", "decode"})
_LOADERS: Final = frozenset({"import_module", "__import__"})


@dataclass(frozen=True, slots=True, order=True)
class Import:
    """A module that another names, absolute. ``sure``: importing the one always imports the other, so that it fails
    without it. ``part``: it may be no module but something in one (`from a import b` for `a.b`)."""

    name: str
    sure: bool
    part: bool = False


def imports_of(source: bytes, package: str) -> set[Import]:
    """What a module imports whose relative imports start from ``package``. Raises SyntaxError.

    All statements count, also those in functions, but for what only a type checker or a module run by hand reaches;
    and calls of `importlib.import_module` with a literal name, and codecs that are named in a call.
    """
    scan = _Scan(package)
    scan.statements(ast.parse(source).body, sure=True)
    return scan.found


class _Scan:
    def __init__(self, package: str) -> None:
        self.found: set[Import] = set()
        self._package = package

    def statements(self, body: Iterable[ast.stmt], *, sure: bool) -> None:
        for statement in body:
            self._statement(statement, sure=sure)

    def _statement(self, node: ast.stmt, *, sure: bool) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._add(alias.name, sure=sure)
        elif isinstance(node, ast.ImportFrom):
            self._from(node, sure=sure)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            self._expressions([*node.decorator_list, node.args])
            self.statements(node.body, sure=False)
        elif isinstance(node, ast.If):
            self._if(node)
        elif isinstance(node, ast.Try | ast.TryStar):
            # Only its body is tried; whoever imports in a handler or behind it does so for sure or as a second choice.
            caught = any(_catches(handler) for handler in node.handlers)
            self.statements(node.body, sure=sure and not caught)
            for handler in node.handlers:
                self.statements(handler.body, sure=False)
            self.statements(node.orelse, sure=sure and not caught)
            self.statements(node.finalbody, sure=sure)
        else:
            self._expressions(_outer(node))
            for inner in _blocks(node):
                self.statements(inner, sure=sure)

    def _if(self, node: ast.If) -> None:
        test = ast.unparse(node.test)
        self._expressions([node.test])
        if test not in ("TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'"):
            self.statements(node.body, sure=False)
        self.statements(node.orelse, sure=False)

    def _from(self, node: ast.ImportFrom, *, sure: bool) -> None:
        base = self._absolute(node.level, node.module or "")
        self._add(base, sure=sure)
        for alias in node.names:
            if alias.name != "*":
                self.found.add(Import(f"{base}.{alias.name}", sure, part=True))

    def _absolute(self, level: int, name: str) -> str:
        if level == 0:
            return name
        parts = self._package.split(".")
        parts = parts[: len(parts) - level + 1]
        return ".".join([*parts, name] if name else parts)

    def _add(self, name: str, *, sure: bool) -> None:
        # `import a.b` imports `a` first.
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            self.found.add(Import(".".join(parts[:length]), sure))

    def _expressions(self, nodes: Iterable[ast.AST]) -> None:
        for outer in nodes:
            for node in ast.walk(outer):
                if isinstance(node, ast.Call):
                    self._call(node)

    def _call(self, node: ast.Call) -> None:
        function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        literals = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        if function in _LOADERS and literals and not literals[0].startswith("."):
            self._add(literals[0], sure=False)
        named = literals if function in _CODERS else []
        named += [
            one.value.value
            for one in node.keywords
            if one.arg == "encoding" and isinstance(one.value, ast.Constant) and isinstance(one.value.value, str)
        ]
        for name in filter(None, named):
            codec = normalize_encoding(name).lower()
            self.found.add(Import(f"encodings.{aliases.get(codec, codec)}", sure=False, part=True))


def _catches(handler: ast.ExceptHandler) -> bool:
    kinds: Sequence[ast.expr | None] = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in _CATCHING) for kind in kinds)


def _blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    """The blocks of statements in a statement, such as a loop's or a class's."""
    for field in ("body", "orelse", "finalbody"):
        block = getattr(node, field, None)
        if block:
            yield block
    for case in getattr(node, "cases", ()):
        yield case.body


def _outer(node: ast.stmt) -> Iterator[ast.AST]:
    """What stands in a statement beside its blocks."""
    for field, value in ast.iter_fields(node):
        if field in ("body", "orelse", "finalbody", "handlers", "cases"):
            continue
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, ast.AST):
                yield one


def _main() -> None:
    """In: [[file, package], ...]. Out, in the same order: [[[name, sure, part], ...], ...]."""
    answers = []
    for file, package in json.loads(Path(sys.argv[1]).read_bytes()):
        found = sorted(imports_of(Path(file).read_bytes(), package))
        answers.append([[one.name, one.sure, one.part] for one in found])
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    _main()
