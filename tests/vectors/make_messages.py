"""Write tests/vectors/messages.json, the frozen bytes of every message.

Run it only when the wire format is changed on purpose.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import message_examples as examples  # noqa: E402

document = {
    "comment": "Deterministic CBOR of one example of every message; made by make_messages.py.",
    "messages": {name: message.to_bytes().hex() for name, message in sorted(examples.messages().items())},
}
(HERE / "messages.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
