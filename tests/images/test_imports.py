"""What a source imports, found without running it."""

from __future__ import annotations

import pytest

from undercroft_images.imports import imports_of


def sure(source: str, package: str = "") -> set[str]:
    return {one.name for one in imports_of(source.encode(), package) if one.sure and not one.part}


def maybe(source: str, package: str = "") -> set[str]:
    return {one.name for one in imports_of(source.encode(), package) if not one.sure}


def test_an_import_names_every_package_on_the_way() -> None:
    assert sure("import a.b.c as d, e") == {"a", "a.b", "a.b.c", "e"}


def test_what_is_taken_from_a_module_may_be_one_itself() -> None:
    [part] = [one for one in imports_of(b"from a import b", "") if one.part]
    assert (part.name, part.sure) == ("a.b", True)
    assert sure("from a import *") == {"a"}


def test_relative_imports_start_from_the_package() -> None:
    assert sure("from . import x", "p.q") == {"p", "p.q"}
    assert sure("from ..r import x", "p.q") == {"p", "p.r"}


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    import late",
        "async def f():\n    if True:\n        from late import x",
        "class C:\n    def f(self):\n        with x:\n            import late",
        "try:\n    import late\nexcept ImportError:\n    pass",
        "try:\n    import late\nexcept (ValueError, ModuleNotFoundError):\n    pass",
        "try:\n    import late\nexcept:\n    pass",
        "import sys\nif sys.platform == 'win32':\n    import late",
        "f = lambda: __import__('late')",
        "def f(importlib):\n    return importlib.import_module('late')",
        "match x:\n    case 1:\n        def f():\n            import late",
    ],
)
def test_an_import_that_may_not_happen_counts_but_is_not_sure(source: str) -> None:
    assert "late" in maybe(source)
    assert "late" not in sure(source)


@pytest.mark.parametrize(
    "source",
    [
        "class C:\n    import now",
        "with x:\n    import now",
        "for y in x:\n    import now",
        "try:\n    import now\nexcept ValueError:\n    pass",
        "try:\n    pass\nfinally:\n    import now",
    ],
)
def test_an_import_in_a_block_that_always_runs_is_sure(source: str) -> None:
    assert "now" in sure(source)


@pytest.mark.parametrize(
    "source",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import never",
        "if __name__ == '__main__':\n    import never",
        "text = 'import never'",
    ],
)
def test_what_only_a_type_checker_or_a_hand_reaches_does_not_count(source: str) -> None:
    assert "never" not in {one.name for one in imports_of(source.encode(), "")}


def test_codecs_that_are_named_in_a_call_count() -> None:
    source = "x.decode('UTF-16')\nopen(p, encoding='latin1')\ny.encode('')\nz.encode(name)"
    assert {one.name for one in imports_of(source.encode(), "")} == {"encodings.utf_16", "encodings.latin_1"}
    # Many things have an `encode`, and a text that is no codec's name leads to no module.
    assert all(one.part for one in imports_of(b"cbor.encode('text')", ""))
