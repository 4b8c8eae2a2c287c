"""The node's JSON-RPC: exact amounts, and what happens when the node does not answer as it should."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from undercroft_demo.node import PAYER, Node
from undercroft_host.errors import NodeAnswerStrange, NodeBusy, NodeRefused, NodeUnreachable, WrongChain
from undercroft_host.gateway.rpc import NodeRpc, amount_to_sats
from undercroft_protocol.bitcoin.network import Network


class Canned:
    """A listener that gives prepared answers, for what a real node does only when it is ill."""

    def __init__(self, answers: list[tuple[int, bytes]]) -> None:
        self.answers = answers
        self.asked: list[bytes] = []

    @contextlib.contextmanager
    def listening(self) -> Iterator[str]:
        canned = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                canned.asked.append(self.rfile.read(int(self.headers["Content-Length"])))
                status, body = canned.answers.pop(0)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()


@pytest.fixture
def cookie(tmp_path: Path) -> Path:
    path = tmp_path / "cookie"
    path.write_text("user:password")
    return path


def answered(result: object) -> tuple[int, bytes]:
    return 200, json.dumps({"result": result, "error": None, "id": 0}).encode()


def test_amounts_are_exact(node: Node) -> None:
    balance = node.rpc("getbalance", wallet=PAYER)
    assert isinstance(balance, Decimal)
    assert amount_to_sats(balance) == int(balance * 100_000_000)


def test_amount_below_a_satoshi_or_of_another_type_is_strange() -> None:
    for value in (Decimal("0.000000001"), "1", True, None, 0.5):
        with pytest.raises(NodeAnswerStrange):
            amount_to_sats(value)


def test_node_on_another_chain_is_refused(node: Node) -> None:
    assert node.client.check_chain(Network.REGTEST).height == node.rpc("getblockcount")
    with pytest.raises(WrongChain, match="'regtest', the quorum is on mainnet"):
        node.client.check_chain(Network.MAINNET)


def test_refusal_carries_the_nodes_own_code(node: Node) -> None:
    with pytest.raises(NodeRefused) as refused:
        node.rpc("getblockhash", 10_000_000)
    assert refused.value.node_code == -8


def test_cookie_is_read_again_when_the_node_has_a_new_one(node: Node, cookie: Path) -> None:
    cookie.write_text(node.cookie_path.read_text())
    client = NodeRpc(node.rpc_url, cookie)
    client.call("getblockcount")
    cookie.write_text("__cookie__:stale")
    assert client.call("getblockcount") > 0
    client._credentials[0] = "Basic c3RhbGU="
    cookie.write_text(node.cookie_path.read_text())
    assert client.call("getblockcount") > 0


def test_wrong_cookie_is_unreachable_and_not_shown(node: Node, cookie: Path) -> None:
    client = NodeRpc(node.rpc_url, cookie)
    with pytest.raises(NodeUnreachable, match="does not accept") as refused:
        client.call("getblockcount")
    assert "password" not in str(refused.value) + repr(client)


def test_node_that_is_down_is_unreachable(cookie: Path) -> None:
    with pytest.raises(NodeUnreachable, match=r"127\.0\.0\.1:1"):
        NodeRpc("http://127.0.0.1:1", cookie).call("getblockcount")


def test_missing_cookie_file_is_named(node: Node, tmp_path: Path) -> None:
    with pytest.raises(NodeUnreachable, match="No such file"):
        NodeRpc(node.rpc_url, tmp_path / "nothing").call("getblockcount")


@pytest.mark.parametrize("url", ["https://host:1", "http://user:password@host:1", "host:1", "http://host:1/wallet/w"])
def test_attack_password_or_path_in_the_address_is_refused(url: str, cookie: Path) -> None:
    with pytest.raises(NodeUnreachable) as refused:
        NodeRpc(url, cookie)
    assert "password" not in str(refused.value)


def test_full_work_queue_is_waited_for_by_calls_that_change_nothing(cookie: Path) -> None:
    canned = Canned([(503, b"Work queue depth exceeded"), (503, b"Work queue depth exceeded"), answered(7)])
    pauses: list[float] = []
    with canned.listening() as url:
        assert NodeRpc(url, cookie, pause=pauses.append).call("getblockcount") == 7
    assert len(canned.asked) == 3
    assert pauses == sorted(pauses)


def test_attack_full_work_queue_never_makes_us_send_twice(cookie: Path) -> None:
    canned = Canned([(503, b"Work queue depth exceeded"), answered("txid")])
    with canned.listening() as url, pytest.raises(NodeBusy):
        NodeRpc(url, cookie, pause=lambda _: None).call("sendrawtransaction", "00")
    assert len(canned.asked) == 1


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"result": 1}', b'{"result": NaN, "error": null}', b'"x"'])
def test_answer_that_is_no_answer_is_strange(body: bytes, cookie: Path) -> None:
    with Canned([(200, body)]).listening() as url, pytest.raises(NodeAnswerStrange):
        NodeRpc(url, cookie).call("getblockcount")


def test_node_that_is_still_starting_is_busy(cookie: Path) -> None:
    body = json.dumps({"result": None, "error": {"code": -28, "message": "Loading block index…"}, "id": 0}).encode()
    with Canned([(500, body)]).listening() as url, pytest.raises(NodeBusy, match="Loading"):
        NodeRpc(url, cookie).call("getblockcount")


def test_decimal_parameter_is_sent_as_text(cookie: Path) -> None:
    canned = Canned([answered(None)])
    with canned.listening() as url:
        NodeRpc(url, cookie).call("x", Decimal("0.10000000"))
    assert json.loads(canned.asked[0])["params"] == ["0.10000000"]
