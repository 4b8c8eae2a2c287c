"""The Bitcoin node's JSON-RPC: one call, one answer, amounts exact. Standard library only."""

from __future__ import annotations

import base64
import http.client
import json
import time
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NoReturn

from undercroft_protocol.bitcoin.network import Network

from ..errors import AmountInvalid, NodeAnswerStrange, NodeBusy, NodeRefused, NodeUnreachable, WrongChain
from ..money import sats_from_btc

RPC_INVALID_ADDRESS_OR_KEY: Final = -5
RPC_INVALID_PARAMETER: Final = -8
RPC_WALLET_NOT_FOUND: Final = -18
RPC_VERIFY_ALREADY_IN_UTXO_SET: Final = -27
RPC_IN_WARMUP: Final = -28

_MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
_BUSY_TRIES: Final = 5

READ_ONLY: Final = frozenset(
    {
        "decoderawtransaction",
        "deriveaddresses",
        "estimatesmartfee",
        "getbestblockhash",
        "getblock",
        "getblockchaininfo",
        "getblockcount",
        "getblockhash",
        "getblockheader",
        "getdescriptorinfo",
        "getmempoolentry",
        "getmempoolinfo",
        "getnetworkinfo",
        "getrawmempool",
        "getrawtransaction",
        "gettxout",
        "gettxspendingprevout",
        "getwalletinfo",
        "listdescriptors",
        "listsinceblock",
        "listunspent",
        "listwalletdir",
        "listwallets",
        "scantxoutset",
        "testmempoolaccept",
        "validateaddress",
    }
)
"""Calls that change nothing: only these are ever repeated when the node is too busy to say whether it took one."""


@dataclass(frozen=True, slots=True)
class ChainInfo:
    """Where the node stands: height and hash (64 hex digits) of its best block, and whether it is still catching up."""

    height: int
    best_block: str
    catching_up: bool


@dataclass(frozen=True, slots=True)
class NodeRpc:
    """A node by the address of its RPC (``http://host:port``) and the file with ``user:password`` (its cookie).

    The file is read when it is first needed, and again when the node no longer accepts what it held.
    """

    url: str
    cookie_path: Path
    timeout_seconds: float = 30.0
    pause: Callable[[float], None] = field(default=time.sleep, repr=False)
    _credentials: list[str] = field(default_factory=list, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = urllib.parse.urlsplit(self.url)
        # A password in the address would end up in logs and process lists; it belongs in the cookie file.
        if parts.scheme != "http" or not parts.hostname or parts.username or parts.path not in ("", "/"):
            raise NodeUnreachable("its address must be of the form http://host:port, without user or path")

    def call(self, method: str, *params: Any, wallet: str | None = None, timeout_seconds: float | None = None) -> Any:
        """The result of one call; Decimal for every number with a point, and a Decimal parameter is sent as text.

        Raises NodeUnreachable, NodeBusy, NodeRefused (with the node's own code), NodeAnswerStrange.
        """
        body = json.dumps({"jsonrpc": "1.0", "id": 0, "method": method, "params": params}, default=_plain)
        path = "/" if wallet is None else f"/wallet/{urllib.parse.quote(wallet, safe='')}"
        limit = self.timeout_seconds if timeout_seconds is None else timeout_seconds
        for attempt in range(_BUSY_TRIES):
            status, answer = self._post(path, body.encode(), limit)
            if status != http.client.SERVICE_UNAVAILABLE:
                return _result(method, status, answer)
            # Attack on ourselves: a payment sent twice because the first answer was "too busy".
            if method not in READ_ONLY:
                break
            self.pause(0.1 * 2**attempt)
        raise NodeBusy("its work queue is full")

    def check_chain(self, network: Network) -> ChainInfo:
        """Where the node stands. Raises WrongChain unless it follows this network."""
        info = self.call("getblockchaininfo")
        if info["chain"] != network.bitcoind_chain:
            raise WrongChain(f"it follows {info['chain']!r}, the quorum is on {network.value}")
        return ChainInfo(info["blocks"], info["bestblockhash"], info["initialblockdownload"])

    def _post(self, path: str, body: bytes, timeout_seconds: float) -> tuple[int, bytes]:
        remembered = bool(self._credentials)
        status, answer = self._post_once(path, body, timeout_seconds)
        # A restarted node has a new cookie. It refused before it did anything, so asking again is safe.
        if status == http.client.UNAUTHORIZED and remembered:
            self._credentials.clear()
            status, answer = self._post_once(path, body, timeout_seconds)
        if status in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            self._credentials.clear()
            raise NodeUnreachable(f"{self.url} does not accept what {self.cookie_path} holds")
        return status, answer

    def _post_once(self, path: str, body: bytes, timeout_seconds: float) -> tuple[int, bytes]:
        headers = {"Authorization": self._authorization(), "Content-Type": "application/json"}
        parts = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_seconds)
        try:
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            answer = response.read(_MAX_ANSWER_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            raise NodeUnreachable(f"{self.url}: {error or type(error).__name__}") from None
        finally:
            connection.close()
        if len(answer) > _MAX_ANSWER_BYTES:
            raise NodeAnswerStrange(f"more than {_MAX_ANSWER_BYTES} bytes")
        return response.status, answer

    def _authorization(self) -> str:
        if not self._credentials:
            try:
                cookie = self.cookie_path.read_text(encoding="utf-8").strip()
            except OSError as error:
                raise NodeUnreachable(f"cookie file {self.cookie_path}: {error.strerror}") from None
            self._credentials.append("Basic " + base64.b64encode(cookie.encode()).decode())
        return self._credentials[0]


def amount_to_sats(value: object) -> int:
    """A node's amount, a number in bitcoin, in sats. Raises NodeAnswerStrange unless it is exact."""
    if isinstance(value, bool) or not isinstance(value, (Decimal, int)):
        raise NodeAnswerStrange(f"{value!r} where an amount belongs")
    try:
        return sats_from_btc(value)
    except AmountInvalid as error:
        raise NodeAnswerStrange(error.detail) from None


def _result(method: str, status: int, answer: bytes) -> Any:
    try:
        document = json.loads(answer, parse_float=Decimal, parse_constant=_no_constant)
    except ValueError:
        raise NodeAnswerStrange(f"{method}: HTTP status {status}, and no JSON") from None
    if not isinstance(document, dict) or not {"result", "error"} <= document.keys():
        raise NodeAnswerStrange(f"{method}: neither a result nor an error")
    error = document["error"]
    if error is None:
        return document["result"]
    code, message = int(error.get("code", 0)), str(error.get("message", ""))[:300]
    if code == RPC_IN_WARMUP:
        raise NodeBusy(message)
    raise NodeRefused(method, code, message)


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
