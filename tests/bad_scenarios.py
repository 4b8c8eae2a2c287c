"""Vectors that need a keeper in some state: the very bytes of each message, what the owner does, and time.

A keeper of the tests draws its activation ids from a counter, so that the same bytes are good in every run.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from appliance.builders import ALICE, POLICY, PlainKeys
from appliance.keeper.keeper_support import Bench, Reaction
from undercroft_appliance.errors import OwnerEntropyError, WrongPassphraseError
from undercroft_appliance.internal import Command, Outbound, Question
from undercroft_appliance.keeper.judge import SIGN
from undercroft_appliance.keeper.refusals import BUSY, CODES
from undercroft_protocol.bitcoin.psbt_records import MAGIC
from undercroft_protocol.messages import (
    HELD,
    REFUSED,
    SIGNED,
    BatchReply,
    Policy,
    RefusalReply,
    Value,
    open_reply,
)

DONE: Final = "done"
_FINDING: Final = re.compile(r"^(?:refuse |hold )?([a-z-]+)(?::|$)")
_PATIENCE_SECONDS: Final = 10.0

Step = Mapping[str, Any]


class Recorder(Bench):
    """A bench that writes down what is sent, typed and waited for; ``steps`` is a scenario."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self._quiet = False
        super().__init__()

    def sealed(self, *args: Any, **header: Any) -> bytes:
        return self.raw(super().sealed(*args, **header))

    def unsent(self, body: Value) -> bytes:
        """A good request that is kept back: `raw` notes it when, and as, it is sent."""
        return super().sealed(body)

    def raw(self, data: bytes) -> bytes:
        """Bytes as they come; whoever asked for them hands them over."""
        self._note(host=base64.b64encode(data).decode())
        return data

    def activated(self, policy: Policy = POLICY, **changes: Any) -> Recorder:
        usual = policy is POLICY and not changes
        return self._entered("unlocked", lambda: super(Recorder, self).activated(policy, **changes), usual=usual)

    def armed(self, ledger: Any = (), policy: Policy = POLICY, **changes: Any) -> Recorder:
        usual = policy is POLICY and ledger == () and not changes
        return self._entered("armed", lambda: super(Recorder, self).armed(ledger, policy, **changes), usual=usual)

    def _entered(self, state: str, enter: Callable[[], object], *, usual: bool) -> Recorder:
        """A state that the runner can enter by itself is one step."""
        if self._quiet or not usual:
            enter()
            return self
        self._note(state=state)
        self._quiet = True
        enter()
        self._quiet = False
        return self

    def renewed(self) -> Recorder:
        super().renewed()
        self._note(renewed=True)
        return self

    def command(self, name: str) -> None:
        self._note(command=name)
        super().command(name)

    def wait(self, seconds: int) -> None:
        self._note(wait=seconds)
        self.clock.seconds += seconds

    def answer(self, prompt: str, answer: str | None, **beside: Any) -> None:
        """What the owner answers from now on; ``beside``: what happens while the question is open."""
        given: Any = answer if not beside else {"answer": answer, **beside}
        self._note(owner={prompt: given})
        self.owner.answers[prompt] = _reaction(self, given, [])

    def _note(self, **step: Any) -> None:
        if not self._quiet:
            self.steps.append(step)


def played(given: Mapping[str, Any]) -> list[str]:
    """What each message of a scenario is answered by, in the order of the answers: a code, `sign`, or `done`."""
    troubles = given.get("troubles", {})
    keys = PlainKeys(ALICE, [WrongPassphraseError() for _ in range(troubles.get("passphrase", 0))])
    keys.dice_troubles = [OwnerEntropyError("too uniform") for _ in range(troubles.get("dice", 0))]
    answers: list[str] = []
    with Bench(keys) as bench:
        for step in given["steps"]:
            _take(bench, step, answers)
        assert bench.keeper.session.state == given["state_after"]
    return answers


def _take(bench: Bench, step: Step, answers: list[str]) -> None:
    match dict(step):
        case {"host": data}:
            answers.append(_answer(bench, base64.b64decode(data, validate=True)))
        case {"state": "unlocked"}:
            bench.activated()
        case {"state": "armed"}:
            bench.armed()
        case {"owner": reactions}:
            for prompt, given in reactions.items():
                bench.owner.answers[prompt] = _reaction(bench, given, answers)
        case {"wait": seconds}:
            bench.clock.seconds += seconds
        case {"command": name}:
            bench.command(name)
        case {"renewed": True}:
            bench.renewed()
        case other:
            raise AssertionError(other)


def _reaction(bench: Bench, given: str | Mapping[str, Any], answers: list[str]) -> Reaction:
    if isinstance(given, str):
        return given

    def reaction(_: Question) -> str | None:
        bench.clock.seconds += given.get("wait", 0)
        if "host" in given:
            bench.send(base64.b64decode(given["host"], validate=True))
            answers.append(_heard_beside(bench))
        if "command" in given:
            bench.owner.send(Command(given["command"]))
        answer: str | None = given["answer"]
        return answer

    return reaction


def _answer(bench: Bench, data: bytes) -> str:
    before = len(bench.owner.notices)
    reply = bench.keeper.handle(data)
    if reply.startswith(MAGIC):
        return SIGN
    body = open_reply(reply, None).body
    if isinstance(body, RefusalReply):
        exact = _exact(bench.last_notice("Refused", before).lines)
        _check_coarse(exact, body.code, body.message)
        return exact
    if isinstance(body, BatchReply):
        return _verdict(bench, body, before)
    return DONE


def _verdict(bench: Bench, body: BatchReply, before: int) -> str:
    """The exact code of the last transaction."""
    last = body.verdicts[-1]
    if last.verdict == SIGNED:
        return SIGN
    counts = {word: sum(one.verdict == word for one in body.verdicts) for word in (SIGNED, HELD, REFUSED)}
    title = "Batch: " + ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    lines = bench.last_notice(title, before).lines
    exact = _exact([line for line in lines if line.startswith(("refuse ", "hold "))][::-1])
    _check_coarse(exact, last.code or "", "")
    return exact


def _exact(lines: Any) -> str:
    return next(found[1] for line in lines if (found := _FINDING.match(line)) and found[1] in CODES)


def _check_coarse(exact: str, code: str, message: str) -> None:
    # Attack: error texts that tell a host, which was taken over, which limit it hit (signers.md 92).
    assert code == CODES[exact].coarse
    assert exact not in message


def _heard_beside(bench: Bench) -> str:
    """What was answered to a message that came while a question was open."""
    heard: Value | None = bench.host.receive(_PATIENCE_SECONDS)
    assert isinstance(heard, Outbound)
    body = open_reply(heard.data, None).body
    assert isinstance(body, RefusalReply)
    assert (body.code, body.message) == (BUSY.coarse, BUSY.meaning)
    return BUSY.name
