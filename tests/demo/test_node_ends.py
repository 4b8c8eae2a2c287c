"""The node does not outlive who started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_LAUNCH = """
import sys, time
from pathlib import Path
from undercroft_demo.node import Node
print(Node.launch(Path(sys.argv[1])).process.pid, flush=True)
time.sleep(600)
"""
_PATIENCE_SECONDS = 60.0


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_mishap_a_killed_demo_leaves_no_node_behind(tmp_path: Path) -> None:
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", _LAUNCH, tmp_path], stdout=subprocess.PIPE, env=found) as demo:
        assert demo.stdout is not None
        node = int(demo.stdout.readline())
        assert lives(node)
        os.kill(demo.pid, signal.SIGKILL)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while lives(node) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not lives(node)
