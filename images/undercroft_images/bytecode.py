"""Whether the compiled modules of a root are what Python makes of the sources that lie beside them.

An appliance runs the compiled forms and never looks at the sources, of which the firmware hash is. So they are compiled
a second time here, and compared. As a program it does so in a folder, by the Python whose compiled forms they are.
"""

from __future__ import annotations

import importlib.util
import io
import marshal
import sys
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .builder import Builder

_HEAD: Final = 16
_UNCHECKED: Final = 1
"""The flags of a compiled form that is named by its source's hash and taken without a look at it (PEP 552)."""


def check(builder: Builder, tree: Path, library: str, work: Path) -> None:
    """Compare all in the folder ``library`` of the root that lies at ``tree``; ``work`` takes the program.

    Both lie below the builder's root. Raises ImageError.
    """
    program = work / "bytecode.py"
    program.write_bytes(Path(__file__).read_bytes())
    builder.run("/usr/bin/python3.13", "-I", "-S", program, tree / library, f"/{library}", folder=work)


def fault(source: bytes, compiled: bytes, name: str) -> str | None:
    """Why ``compiled`` is not the compiled form of ``source``, a module that lies at ``name``; None where it is."""
    head = importlib.util.MAGIC_NUMBER + _UNCHECKED.to_bytes(4, "little") + importlib.util.source_hash(source)
    if compiled[:_HEAD] != head:
        return "is of another source, or of another Python"
    rest = io.BytesIO(compiled[_HEAD:])
    try:
        held = marshal.load(rest)  # noqa: S302 - by the same Python, of what it wrote a moment ago
    except (EOFError, TypeError, ValueError):
        return "is damaged"
    # Attack: the source that everyone reads beside a compiled form that does something else.
    if not isinstance(held, CodeType) or not _same(held, compile(source, name, "exec", dont_inherit=True)):
        return "is not what its source says"
    return "has something behind it" if rest.read() else None


def _same(one: CodeType, other: CodeType) -> bool:
    # Two codes are equal without their names.
    if one != other or (one.co_filename, one.co_qualname) != (other.co_filename, other.co_qualname):
        return False
    inner = ([const for const in code.co_consts if isinstance(const, CodeType)] for code in (one, other))
    return all(_same(*pair) for pair in zip(*inner, strict=True))


def _main(library: Path, named: str) -> int:
    tag = sys.implementation.cache_tag
    count = 0
    for path in sorted(library.rglob("*.py")):
        compiled = path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc"
        name = f"{named}/{path.relative_to(library).as_posix()}"
        if why := fault(path.read_bytes(), compiled.read_bytes(), name):
            sys.exit(f"the compiled form of {name} {why}")
        count += 1
    return 0 if count else 1


if __name__ == "__main__":
    sys.exit(_main(Path(sys.argv[1]), sys.argv[2]))
