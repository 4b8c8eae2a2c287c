"""``--link`` on whatever talks to an appliance, and ``undercroft carry``, which brings a folder to one."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from cli_support import Line
from exchange import Ticking
from psbt_examples import PsbtAppliance, signed_by, unsigned_psbt
from scripted_appliance import NAMES, cleared_payment, found, request_of
from undercroft_host.cli import app as cli_app
from undercroft_host.cli.live import LiveLine
from undercroft_host.cli.main import cli
from undercroft_host.config import Config, QrDesk, load_config
from undercroft_host.desk.carry import Courier
from undercroft_host.desk.links import open_link
from undercroft_host.errors import ApplianceUnplugged, ConfigurationProblem
from undercroft_protocol.errors import CameraError, LinkError
from undercroft_protocol.link import Link, Progress
from undercroft_protocol.link_folder import LinkFolder
from undercroft_protocol.messages import BatchRequest, LogRequest, StatusRequest

TALKING = {
    "status", "freeze", "psbt sign", "policy approve",
    *(f"appliance {verb}" for verb in ("show", "lock", "freeze", "log")),
    *(f"quorum {verb}" for verb in ("declare", "accept")),
    *(f"activation {verb}" for verb in ("open", "grant")),
    *(f"payment {verb}" for verb in ("send", "resend")),
}  # fmt: skip


@pytest.fixture
def desk(line: Line) -> Line:
    """A quorum, and three armed appliances on their own lines."""
    store = line.store()
    found(store)
    store.close()
    for name in NAMES:
        line.appliances[f"serial:/dev/{name}"] = PsbtAppliance(name)
    return line


def commands(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, f"{path} {name}".strip())


def test_every_command_that_talks_takes_another_link() -> None:
    takes = {path for path, command in commands(cli) if any("--link" in one.opts for one in command.params)}
    assert takes == TALKING | {"appliance add"}


def test_another_link_is_used_for_this_run_only(desk: Line) -> None:
    desk.appliances["qr"] = desk.appliances.pop("serial:/dev/alice")
    assert desk.json("appliance", "show", "alice", "--link", "qr")["state"] == "armed"
    assert desk.error("appliance", "show", "alice", code=7)["code"] == "appliance-unplugged"
    assert desk.json("appliance", "list")[0]["link"] == "serial:/dev/alice"


@pytest.mark.parametrize("link", ["socket://h:1", "rfc2217://h:1", "tcp:h:1", "spy:///dev/x", "loop://", "http://h"])
@pytest.mark.parametrize("command", [("appliance", "show", "alice"), ("appliance", "add", "dave")])
def test_attack_a_network_is_no_link_on_any_command(desk: Line, command: tuple[str, ...], link: str) -> None:
    assert desk.error(*command, "--link", link, code=2)["code"] == "link"


def test_a_bad_link_is_refused_before_anything_is_written(desk: Line, clock: Ticking) -> None:
    store = desk.store()
    payment = str(cleared_payment(store, clock))
    store.close()
    before = desk.json("audit", "list")
    desk.error("payment", "send", payment, "--to", "alice", "--link", "tcp:h:1", code=2)
    assert desk.json("audit", "list") == before


def test_appliances_before_one_camera_are_stopped_one_after_the_other(
    desk: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    present: list[str] = []
    most: list[int] = []

    class Before(PsbtAppliance):
        def close(self) -> None:
            present.remove(self.name)

    def opened(link: str, *_: object, **__: object) -> Link:
        present.append("alice")
        time.sleep(0.02)
        most.append(len(present))
        return Before("alice")

    monkeypatch.setattr(cli_app, "open_link", opened)
    desk.run("freeze", "--by-vault", "drill", "--link", "qr", code=7)
    assert most == [1, 1, 1]


def test_one_camera_under_two_names_is_still_one(desk: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    present: list[str] = []
    most: list[int] = []

    def opened(link: str, *_: object, **__: object) -> Link:
        if link.startswith("qr"):
            present.append(link)
            time.sleep(0.1)
            most.append(len(present))
            present.remove(link)
        raise ApplianceUnplugged(link)

    desk.run("appliance", "add", "dave", "--link", "qr")
    desk.run("appliance", "add", "erin", "--link", "qr:/dev/video0,/dev/tty9")
    monkeypatch.setattr(cli_app, "open_link", opened)
    desk.run("freeze", "--by-vault", "drill", code=7)
    assert most == [1, 1]


def test_an_appliance_that_is_reached_by_files_does_not_hold_up_a_freeze(desk: Line, tmp_path: Path) -> None:
    desk.run("appliance", "add", "dave", "--link", f"file:{tmp_path}")
    error = desk.error("freeze", "--by-vault", "drill", code=7)
    assert "not reached: dave" in error["message"]
    rows = {row["name"]: row for row in desk.json("freeze", "--by-vault", "drill", code=7)}
    assert rows["alice"]["state"] == "empty"
    assert "undercroft appliance freeze dave" in rows["dave"]["problem"]
    asked = {one["name"]: one["state"] for one in desk.json("status", "--ask")["appliances"]}
    assert asked["dave"] == "not asked: files take too long"


def test_a_camera_that_is_unplugged_is_exit_code_7_with_what_to_do(desk: Line) -> None:
    alice = desk.appliances["serial:/dev/alice"]

    def receive(*, timeout: float) -> bytes:
        raise CameraError("/dev/video0 is gone")

    alice.receive = receive  # type: ignore[method-assign]
    error = desk.error("appliance", "show", "alice", code=7)
    assert "/dev/video0 is gone" in error["message"]
    assert "[qr]" in error["hint"]


# --- files ------------------------------------------------------------------------------------------------------


@pytest.fixture
def stick(desk: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is carried; what is no folder is still the test's appliances."""
    path = tmp_path / "stick"
    path.mkdir()

    def opener(link: str, *rest: object, **options: object) -> Link:
        return open_link(link) if link.startswith("file:") else desk.open(link)

    monkeypatch.setattr(cli_app, "open_link", opener)
    return path


@contextmanager
def carrying(desk: Line, stick: Path, name: str) -> Iterator[None]:
    """Somebody carries the folder to an appliance and back again and again."""
    ended = threading.Event()
    courier = Courier(LinkFolder(stick), desk.appliances[f"serial:/dev/{name}"], timeout=5, say=lambda _: None)

    def run() -> None:
        while not ended.wait(0.05):
            assert all(one.problem is None for one in courier.run())

    with ThreadPoolExecutor(1) as pool:
        carrier = pool.submit(run)
        try:
            yield
        finally:
            ended.set()
            carrier.result()


def test_a_payment_is_signed_by_files_alone(desk: Line, stick: Path, clock: Ticking) -> None:
    store = desk.store()
    payment = str(cleared_payment(store, clock))
    store.close()
    for name in NAMES[:2]:
        with carrying(desk, stick, name):
            desk.json("payment", "send", payment, "--to", name, "--link", f"file:{stick}")
    assert desk.json("payment", "show", payment)["state"] == "signed"
    assert [request_of(one) for one in desk.appliances["serial:/dev/alice"].heard] == [
        StatusRequest,
        BatchRequest,
        LogRequest,
    ]
    assert len(list(stick.glob("*.reply"))) == 6


def test_attack_a_file_in_the_replys_place_that_is_none_is_an_alarm(desk: Line, stick: Path) -> None:
    def answer() -> None:
        while not (requests := list(stick.glob("*.request"))):
            time.sleep(0.02)
        requests[0].with_suffix(".reply").write_bytes(b"something else\n")

    with ThreadPoolExecutor(1) as pool:
        answering = pool.submit(answer)
        error = desk.error("appliance", "show", "alice", "--link", f"file:{stick}", code=8)
        answering.result()
    assert "find out who put it there" in error["message"]


def test_a_request_that_nobody_carried_is_taken_back(desk: Line, stick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("undercroft_host.link_text.FileText.patience_seconds", 0)
    monkeypatch.setattr("undercroft_host.desk.talk.STATUS_SECONDS", 0.3)
    assert desk.error("appliance", "show", "alice", "--link", f"file:{stick}", code=7)["code"] == "appliance-silent"
    assert list(stick.iterdir()) == []


def test_carry_delivers_psbts_from_a_machine_without_a_home_and_says_what_it_did(desk: Line, stick: Path) -> None:
    psbt = unsigned_psbt(0).serialize()
    (stick / "payout.psbt").write_bytes(psbt)
    (stick / "bad.psbt").write_bytes(b"hello")
    bare = Line(stick / "no home", desk.appliances)
    rows = bare.json("carry", str(stick), "--to", "serial:/dev/alice", code=1)
    assert [(row["request"], row["reply"]) for row in rows] == [
        ("bad.psbt", None),
        ("payout.psbt", "payout.signed.psbt"),
    ]
    assert (stick / "payout.signed.psbt").read_bytes() == signed_by("alice", psbt)
    assert bare.json("carry", str(stick), "--to", "serial:/dev/alice", code=1) == [rows[0]]
    (stick / "bad.psbt").unlink()
    assert bare.json("carry", str(stick), "--to", "serial:/dev/alice") == []


def test_a_script_hears_by_the_exit_code_that_a_file_was_not_delivered(desk: Line, stick: Path) -> None:
    (stick / "payout.psbt").write_bytes(unsigned_psbt(0).serialize())
    (stick / "bad.psbt").write_bytes(b"hello")
    error = desk.error("carry", str(stick), "--to", "serial:/dev/alice", code=1)
    assert "1 of 2 files was not delivered" in error["message"]
    assert (stick / "payout.signed.psbt").exists()


def test_a_file_that_becomes_whole_while_carry_waits_is_no_failure(desk: Line, stick: Path) -> None:
    psbt = unsigned_psbt(0).serialize()
    (stick / "payout.psbt").write_bytes(psbt[:-7])
    bringing = threading.Timer(0.3, (stick / "payout.psbt").write_bytes, (psbt,))
    bringing.start()
    rows = desk.json("carry", str(stick), "--to", "serial:/dev/alice", "--wait", "2")
    bringing.join()
    assert [(row["reply"], row["problem"]) for row in rows] == [("payout.signed.psbt", None)]


def test_carry_waits_for_what_comes_into_the_folder(desk: Line, stick: Path) -> None:
    def later() -> None:
        time.sleep(0.3)
        (stick / "payout.psbt").write_bytes(unsigned_psbt(0).serialize())

    bringing = threading.Thread(target=later)
    bringing.start()
    (stick / "bad.psbt").write_bytes(b"hello")
    result = desk.run("carry", str(stick), "--to", "serial:/dev/alice", "--wait", "2", "--json", code=1)
    bringing.join()
    assert [row["reply"] for row in json.loads(result.stdout)] == [None, "payout.signed.psbt"]
    assert result.stderr.count("magic bytes are missing") == 1


def test_what_was_delivered_is_told_also_when_the_next_is_not(desk: Line, stick: Path) -> None:
    for name in ("a", "b"):
        (stick / f"{name}.psbt").write_bytes(unsigned_psbt(0).serialize())
    appliance = desk.appliances["serial:/dev/alice"]
    receive, count = appliance.receive, [0]

    def once(*, timeout: float) -> bytes:
        count[0] += 1
        if count[0] > 1:
            raise CameraError("gone")
        return receive(timeout=timeout)

    appliance.receive = once  # type: ignore[method-assign]
    result = desk.run("carry", str(stick), "--to", "serial:/dev/alice", "--json", code=7)
    assert "a.signed.psbt" in result.stdout
    assert "b.psbt: gone" in result.stderr


def test_what_was_delivered_is_told_also_when_the_folder_is_pulled_out(desk: Line, stick: Path) -> None:
    for name in ("a", "b"):
        (stick / f"{name}.psbt").write_bytes(unsigned_psbt(0).serialize())
    appliance = desk.appliances["serial:/dev/alice"]
    receive = appliance.receive

    def receive_and_open_the_folder(*, timeout: float) -> bytes:
        if (stick / "a.signed.psbt").exists():
            stick.chmod(0o777)
        return receive(timeout=timeout)

    appliance.receive = receive_and_open_the_folder  # type: ignore[method-assign]
    result = desk.run("carry", str(stick), "--to", "serial:/dev/alice", "--json", code=1)
    assert "a.signed.psbt" in result.stdout
    assert "chmod" in result.stderr


def test_two_at_once_in_one_folder_would_deliver_twice_and_one_is_refused(
    desk: Line, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors: list[dict[str, str]] = []

    def second(link: str, *_: object, **__: object) -> Link:
        monkeypatch.setattr(cli_app, "open_link", desk.open)
        errors.append(desk.error("carry", str(stick), "--to", "serial:/dev/alice", code=4))
        return desk.open(link)

    monkeypatch.setattr(cli_app, "open_link", second)
    desk.json("carry", str(stick), "--to", "serial:/dev/alice")
    assert errors[0]["code"] == "conflict"


def test_carry_wants_a_folder_and_an_appliance(desk: Line, stick: Path) -> None:
    error = desk.error("carry", str(stick), "--to", f"file:{stick}", code=2)
    assert error["code"] == "link"
    assert "file:" not in error["hint"]
    error = desk.error("carry", str(stick / "none"), "--to", "serial:/dev/alice", code=1)
    assert error["message"].startswith(f"This failed: {stick / 'none'} cannot be opened")
    stick.chmod(0o777)
    assert "chmod" in desk.error("carry", str(stick), "--to", "serial:/dev/alice", code=1)["message"]


# --- how far a long message is ---------------------------------------------------------------------------------


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def told(live: LiveLine, clock: Clock, *, sent: int, received: int = 0) -> None:
    clock.now += 0.5
    live.moved(Progress(sent, 60_000, received, 30_000 if received else 0))


def test_whoever_waits_before_a_terminal_sees_how_far_a_long_message_is_and_that_it_arrived(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    clock = Clock()
    with LiveLine(clock=clock) as live:
        told(live, clock, sent=0)
        told(live, clock, sent=30_000)
        live.moved(Progress(60_000, 60_000, 0, 0))
        told(live, clock, sent=60_000, received=12_000)
    said = capsys.readouterr().err.split("\r\x1b[K")
    assert said == [
        "",
        "sent 0 of 60 kB",
        "sent 30 of 60 kB",
        "sent 60 kB, waiting for the answer",
        "received 12 of 30 kB",
        "",
    ]


def test_a_log_hears_rarely_of_a_long_message_and_nobody_of_a_short_one(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    with LiveLine(clock=clock) as live:
        for number in range(50):
            told(live, clock, sent=1200 * number)
        live.moved(Progress(60_000, 60_000, 0, 0))
        clock.now += 100
        live.moved(Progress(300, 600, 0, 0))
    assert capsys.readouterr().err == "sent 22 of 60 kB\nsent 46 of 60 kB\n"


def test_a_serial_line_tells_the_command_how_far_it_is(desk: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def opened(path: str, *, on_progress: Callable[[Progress], None], **_: object) -> Link:
        asked.append(on_progress)
        raise LinkError(path)

    monkeypatch.setattr(cli_app, "open_link", open_link)
    monkeypatch.setattr("undercroft_host.desk.links.SerialLink.open", opened)
    desk.error("appliance", "show", "alice", code=7)
    assert [getattr(one, "__func__", None) for one in asked] == [LiveLine.moved]


# --- the desk's camera and screen -------------------------------------------------------------------------------


def configured(config: Config, table: str) -> Config:
    file = config.home / "undercroft.toml"
    file.write_text(f"{file.read_text()}\n{table}\n")
    return load_config(config.home)


def test_the_desk_is_what_the_configuration_says_and_the_rest_is_usual(line: Line) -> None:
    config = load_config(line.home)
    assert config.qr == QrDesk()
    table = '[qr]\ncamera = "/dev/video2"\nscreen = "window"\nversion = 27\ncodes = 2\npictures_per_second = 15'
    assert configured(config, table).qr == QrDesk("/dev/video2", "window", 27, 2, 15)


@pytest.mark.parametrize(
    "entry",
    [
        "version = 4",
        "version = 41",
        'version = "20"',
        "version = true",
        "codes = 0",
        "codes = 13",
        "pictures_per_second = 0",
        "pictures_per_second = 61",
        'camera = ""',
        "camera = 0",
        'camera = "rtsp://10.0.0.1/stream"',
        'camera = "video:http://10.0.0.1/"',
        'screen = "http://10.0.0.1/"',
        'colour = "red"',
    ],
)
def test_a_wrong_entry_of_the_desk_is_named(line: Line, entry: str) -> None:
    with pytest.raises(ConfigurationProblem, match=r"qr\."):
        configured(load_config(line.home), f"[qr]\n{entry}")
