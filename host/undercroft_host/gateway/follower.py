"""Follows the chain by block hash, walks back over reorganisations, and looks into the mempool.

The blocks are read whole and searched by our own parser; the node's watch-only wallet is asked only which unconfirmed
transactions concern us. No call to the node happens inside a database transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from undercroft_protocol.bitcoin.network import Network
from undercroft_protocol.bitcoin.transaction import Transaction, txid_from_hex, txid_to_hex

from ..clock import Clock
from ..errors import ChainForeign, NodeAnswerStrange, NodeBusy, NodeRefused
from ..store.engine import Store
from ..store.tables import Address, Block, ChainTransaction, Coin
from .blocks import ScannedBlock, scan_block
from .rpc import RPC_INVALID_ADDRESS_OR_KEY, RPC_INVALID_PARAMETER, NodeRpc
from .sightings import Key, Sightings, Tally, unconfirmed_inputs
from .watch import DEFAULT_WALLET, unconfirmed_txids

ACTOR: Final = "gateway"

_ROUNDS: Final = 20
_CHUNK_BYTES: Final = 4_000_000
_CHUNK_BLOCKS: Final = 200
_OUTPOINTS_PER_CALL: Final = 500
_SAFETY_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class SyncReport:
    """Where the chain stands now, and what this call found. ``alarms`` says in words what needs a person."""

    height: int
    tip: str
    catching_up: bool
    new_blocks: int
    reorganised_blocks: int
    transactions: int
    deposits_seen: int
    deposits_gone: int
    alarms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Tip:
    height: int
    hash: bytes


def sync(
    store: Store, node: NodeRpc, quorum_network: Network, *, clock: Clock, wallet: str = DEFAULT_WALLET
) -> SyncReport:
    """Bring the tables up to the node's tip and mempool.

    Raises NodeUnreachable, NodeBusy, NodeRefused, WrongChain, NodeAnswerStrange, and ChainForeign when the node shares
    no block with what was followed before. What was found before an error stays written.
    """
    tally = Tally()
    for _ in range(_ROUNDS):
        info = node.check_chain(quorum_network)
        top = _follow(store, node, quorum_network, clock, tally)
        spenders, found = _look_into_mempool(store, node, wallet, txid_to_hex(top.hash))
        # A block that came while we looked takes transactions out of the mempool that we do not see confirmed yet.
        if node.call("getbestblockhash") != txid_to_hex(top.hash):
            continue
        with store.begin(ACTOR) as session:
            if _newest(session) != top:
                continue
            seen = Sightings(session, clock)
            for transaction in found:
                seen.unconfirmed(transaction)
            seen.spenders(spenders)
        tally.add(seen.tally)
        return SyncReport(
            height=top.height,
            tip=txid_to_hex(top.hash),
            catching_up=info.catching_up,
            new_blocks=tally.new_blocks,
            reorganised_blocks=tally.reorganised_blocks,
            transactions=tally.transactions,
            deposits_seen=tally.deposits_seen,
            deposits_gone=tally.deposits_gone,
            alarms=tuple(tally.alarms),
        )
    raise NodeBusy("its chain changes faster than it can be followed")


def tip_height(session: Session) -> int:
    """The height of the newest block followed, -1 before the first."""
    found = session.scalar(select(func.max(Block.height)))
    return -1 if found is None else int(found)


def confirmations(session: Session, coin: Coin) -> int:
    """Blocks on top of the coin's transaction, its own included; 0 while it is in none (or conflicted: see there)."""
    return transaction_confirmations(session, coin.txid)


def transaction_confirmations(session: Session, txid: bytes) -> int:
    """As `confirmations`, for a transaction (32 bytes, wire order); 0 for one we do not know."""
    row = session.get(ChainTransaction, txid)
    return 0 if row is None or row.height is None else tip_height(session) - row.height + 1


def _follow(store: Store, node: NodeRpc, network: Network, clock: Clock, tally: Tally) -> _Tip:
    while True:
        with store.read() as session:
            top = _newest(session)
        if top is None:
            _begin_following(store, node, network)
            continue
        ancestor = _common_ancestor(store, node)
        if ancestor != top:
            with store.begin(ACTOR) as session:
                if _newest(session) == top:
                    seen = Sightings(session, clock)
                    seen.disconnect(ancestor.height)
                    tally.add(seen.tally)
            continue
        blocks = _fetch(node, top)
        if not blocks:
            return top
        with store.begin(ACTOR) as session:
            # Another process may have followed the same blocks meanwhile.
            if _newest(session) == top:
                seen = Sightings(session, clock)
                for block in blocks:
                    seen.block(block)
                    session.flush()
                tally.add(seen.tally)


def _newest(session: Session) -> _Tip | None:
    block = session.scalars(select(Block).order_by(Block.height.desc()).limit(1)).first()
    return None if block is None else _Tip(block.height, block.hash)


def _common_ancestor(store: Store, node: NodeRpc) -> _Tip:
    with store.read() as session:
        for block in session.scalars(select(Block).order_by(Block.height.desc())):
            if _hash_at(node, block.height) == block.hash:
                return _Tip(block.height, block.hash)
    raise ChainForeign


def _hash_at(node: NodeRpc, height: int) -> bytes | None:
    """The hash of the active chain's block at a height, None above its tip."""
    try:
        return txid_from_hex(node.call("getblockhash", height))
    except NodeRefused as error:
        if error.node_code == RPC_INVALID_PARAMETER:
            return None
        raise


def _fetch(node: NodeRpc, top: _Tip) -> list[ScannedBlock]:
    """The next blocks above ``top``, as many as are handled at once; none when it is the tip."""
    blocks: list[ScannedBlock] = []
    size, previous = 0, top.hash
    while size < _CHUNK_BYTES and len(blocks) < _CHUNK_BLOCKS:
        height = top.height + len(blocks) + 1
        block_hash = _hash_at(node, height)
        if block_hash is None:
            break
        raw = bytes.fromhex(node.call("getblock", txid_to_hex(block_hash), 0))
        block = scan_block(raw, height, block_hash)
        # The chain was reorganised between two calls; what fits so far is kept, the rest is asked for again.
        if block.previous != previous:
            break
        blocks.append(block)
        size, previous = size + len(raw), block_hash
    return blocks


def _begin_following(store: Store, node: NodeRpc, network: Network) -> None:
    """Write down the first block: one before which nothing can have paid us."""
    with store.read() as session:
        since = session.scalar(select(func.min(Address.issued)))
    header: dict[str, Any] = node.call("getblockheader", node.call("getbestblockhash"))
    if since is not None and network is Network.REGTEST:
        # Times mean nothing on regtest, and the chain is short.
        header = node.call("getblockheader", node.call("getblockhash", 0))
    while since is not None and header["height"] > 0 and header["time"] > since - _SAFETY_SECONDS:
        header = node.call("getblockheader", header["previousblockhash"])
    with store.begin(ACTOR) as session:
        if _newest(session) is None and session.scalar(select(func.min(Address.issued))) == since:
            block_hash = txid_from_hex(header["hash"])
            session.add(Block(height=header["height"], hash=block_hash, time=header["time"]))


def _look_into_mempool(
    store: Store, node: NodeRpc, wallet: str, tip: str
) -> tuple[dict[Key, bytes | None], list[Transaction]]:
    """Who spends our coins and the inputs of our unconfirmed transactions, and the transactions new to us."""
    with store.read() as session:
        interesting = set(unconfirmed_inputs(session)) | _open_coins(session)
    listed = {txid_from_hex(txid) for txid in unconfirmed_txids(node, wallet, tip)}
    found = {txid: tx for txid in _new(store, listed) if (tx := _from_mempool(node, txid)) is not None}
    # The inputs of what is new are asked for as well: it may itself have been replaced already.
    interesting |= {(spent.outpoint.txid, spent.outpoint.vout) for tx in found.values() for spent in tx.inputs}
    spenders = _spenders(node, sorted(interesting))
    for txid in _new(store, {txid for txid in spenders.values() if txid is not None} - found.keys()):
        # Spenders of our coins that the wallet did not name; those that only replace a deposit concern us no further.
        transaction = _from_mempool(node, txid)
        if transaction is not None and _spends_a_coin(store, transaction):
            found[txid] = transaction
    return spenders, list(found.values())


def _new(store: Store, txids: set[bytes]) -> list[bytes]:
    """Those that we do not know, or took for lost."""
    with store.read() as session:
        rows = {txid: session.get(ChainTransaction, txid) for txid in sorted(txids)}
    return [txid for txid, row in rows.items() if row is None or row.conflicted]


def _open_coins(session: Session) -> set[Key]:
    """Coins that no confirmed transaction spends."""
    spender = select(ChainTransaction.txid).where(ChainTransaction.height.is_not(None))
    rows = session.execute(select(Coin.txid, Coin.vout).where(Coin.spent_by.is_(None) | Coin.spent_by.not_in(spender)))
    return {(txid, vout) for txid, vout in rows}


def _spends_a_coin(store: Store, transaction: Transaction) -> bool:
    with store.read() as session:
        return any(session.get(Coin, (spent.outpoint.txid, spent.outpoint.vout)) for spent in transaction.inputs)


def _spenders(node: NodeRpc, keys: Sequence[Key]) -> dict[Key, bytes | None]:
    spenders: dict[Key, bytes | None] = {}
    asked = [key for key in keys if key[0] != bytes(32)]
    for at in range(0, len(asked), _OUTPOINTS_PER_CALL):
        some = asked[at : at + _OUTPOINTS_PER_CALL]
        answers = node.call("gettxspendingprevout", [{"txid": txid_to_hex(t), "vout": v} for t, v in some])
        for key, answer in zip(some, answers, strict=True):
            spender = answer.get("spendingtxid")
            spenders[key] = None if spender is None else txid_from_hex(spender)
    return spenders


def _from_mempool(node: NodeRpc, txid: bytes) -> Transaction | None:
    """The transaction, or None when the mempool no longer has it."""
    try:
        transaction = Transaction.parse(bytes.fromhex(node.call("getrawtransaction", txid_to_hex(txid))))
    except NodeRefused as error:
        if error.node_code == RPC_INVALID_ADDRESS_OR_KEY:
            return None
        raise
    if transaction.txid != txid:
        raise NodeAnswerStrange(f"asked for {txid_to_hex(txid)}, got {transaction.txid_hex}")
    return transaction
