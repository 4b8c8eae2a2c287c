"""Which libraries an eye needs: zxing-cpp alone on the appliance; a clear word where one is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROTOCOL = Path(__file__).resolve().parents[3] / "protocol"
CODE = """
import sys
for name in {blocked!r}:
    sys.modules[name] = None
from undercroft_protocol.errors import QrError
from undercroft_protocol.qr.eye import NAMES, best_eye, eye_by_name
{body}
assert not any(sys.modules.get(name) for name in {blocked!r})
"""
READ = """
from undercroft_protocol.qr.draw import draw
from undercroft_protocol.qr.sheet import picture_of
eye = best_eye()
for text in ("1", "2", "3"):
    picture = picture_of([draw(text)], width=400, height=300)
    assert [sight.text for sight in eye.look(picture)] == [text]
print(type(eye).__name__)
"""
MISSING = """
for name in NAMES:
    try:
        eye_by_name(name)
    except QrError as error:
        print(error.detail)
try:
    best_eye()
except QrError as error:
    print(error.detail)
"""


def run(blocked: tuple[str, ...], body: str, *, first: Path | None = None) -> str:
    """What this prints without those modules; modules in the folder ``first`` hide others of their name."""
    code = CODE.format(blocked=blocked, body=body)
    environment = os.environ | ({"PYTHONPATH": str(first)} if first else {})
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROTOCOL, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_appliance_reads_without_numpy_opencv_and_pillow() -> None:
    assert run(("numpy", "cv2", "PIL", "pyzbar", "qrcode"), READ).split() == ["ZxingEye"]


def test_where_opencv_is_missing_numpy_alone_makes_no_difference() -> None:
    assert run(("cv2",), READ).split() == ["ZxingEye"]


def test_without_zxing_another_reader_is_taken() -> None:
    body = READ.replace("best_eye()", 'best_eye(); assert type(eye).__name__ != "ZxingEye"')
    assert run(("zxingcpp",), body).split()[0] in ("ZbarEye", "OpenCvEye")


@pytest.mark.parametrize(
    ("package", "readers"), [("cv2", {"ZxingEye"}), ("numpy", {"ZxingEye"}), ("zxingcpp", {"ZbarEye", "OpenCvEye"})]
)
def test_a_package_that_lacks_its_system_library_counts_as_missing(
    tmp_path: Path, package: str, readers: set[str]
) -> None:
    broken = 'raise ImportError("libGL.so.1: cannot open shared object file")'
    (tmp_path / f"{package}.py").write_text(broken)
    assert run((), READ, first=tmp_path).split()[-1] in readers


@pytest.mark.parametrize("name", ["zxing", "pyzbar", "opencv"])
def test_a_missing_library_is_named(name: str) -> None:
    told = run(("zxingcpp", "pyzbar", "cv2"), MISSING).splitlines()
    assert any({"zxing": "zxing-cpp", "pyzbar": "libzbar0", "opencv": "OpenCV"}[name] in line for line in told)
    assert told[-1] == "nothing here can read one; install zxing-cpp"
