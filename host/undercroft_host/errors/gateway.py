"""What the node, and the way to it, can answer with instead of a result."""

from __future__ import annotations

from .kinds import BackendUnreachable, Conflict, Failure, IntegrityAlarm


class NodeUnreachable(BackendUnreachable):
    """The Bitcoin node does not answer."""

    code = "node-unreachable"
    default_hint = "is bitcoind running, and are its address and cookie file right in the configuration?"


class NodeBusy(BackendUnreachable):
    """The Bitcoin node is not ready."""

    code = "node-busy"
    default_hint = "wait until it has started and finished its scans, then try again"


class NodeRefused(Failure):
    """The Bitcoin node refused a call."""

    code = "node-refused"

    def __init__(self, method: str, node_code: int, node_message: str) -> None:
        self.method = method
        self.node_code = node_code
        self.node_message = node_message
        super().__init__(f"{method}: {node_message} ({node_code})")


class NodeAnswerStrange(IntegrityAlarm):
    """The Bitcoin node gave an answer that cannot be right."""

    code = "node-answer"


class WrongChain(Conflict):
    """The Bitcoin node is on another chain."""

    code = "wrong-chain"
    default_hint = "point the configuration at a node of the quorum's network"


class ChainForeign(IntegrityAlarm):
    """The node's chain shares no block with the chain followed so far."""

    code = "chain-foreign"
    default_hint = "the node's data was replaced, or this is not the node that was followed"


class ChainBehind(Conflict):
    """The node has moved on since the chain was last followed."""

    code = "chain-behind"
    default_hint = "follow the chain first: undercroft gateway sync"


class WatchWalletWrong(IntegrityAlarm):
    """The node's watch-only wallet is not the quorum's."""

    code = "watch-wallet"
    default_hint = "remove that wallet from the node; it is made anew from the quorum"


class BroadcastRefused(Failure):
    """The node does not take this transaction."""

    code = "broadcast-refused"
    default_hint = "its signed bytes are kept; when the cause is gone, broadcast it again"
