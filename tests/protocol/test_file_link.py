"""Messages as files in a folder: whole or not there, each reply to its own request, and nobody else's files."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undercroft_protocol.bitcoin.hashes import sha256
from undercroft_protocol.errors import FolderError, FolderFileError, LinkError, LinkTimeoutError
from undercroft_protocol.fields import MAX_MESSAGE_BYTES
from undercroft_protocol.file_link import FileLink
from undercroft_protocol.link_folder import LinkFolder, Name, parse_name


class Clock:
    """Time that passes only while somebody sleeps; ``meanwhile`` happens at the first sleep."""

    def __init__(self) -> None:
        self.now = 0.0
        self.meanwhile: Callable[[], object] = lambda: None

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile()
        self.meanwhile = lambda: None


@pytest.fixture
def folder(tmp_path: Path) -> LinkFolder:
    path = tmp_path / "stick"
    path.mkdir()
    return LinkFolder(path)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def link(folder: LinkFolder, clock: Clock) -> FileLink:
    return FileLink(folder, clock=clock, sleep=clock.sleep)


def only(folder: LinkFolder) -> Name:
    (name,) = folder.names()[0]
    return name


def answer(folder: LinkFolder, reply: bytes) -> None:
    """What ``undercroft carry`` does with the newest request."""
    name = folder.names()[0][-1]
    request = folder.read_request(name)
    assert request is not None
    folder.write_reply(name, request, reply)


def test_a_request_is_a_file_that_says_what_it_is(folder: LinkFolder, link: FileLink) -> None:
    link.send(b"a request", timeout=1)
    name = only(folder)
    assert name == Name(1, sha256(b"a request").hex()[:8])
    assert sorted(path.name for path in folder.path.iterdir()) == [name.request]
    assert (folder.path / name.request).stat().st_mode & 0o777 == 0o600
    assert folder.read_request(name) == b"a request"


def test_the_reply_that_is_put_beside_it_is_received(folder: LinkFolder, link: FileLink, clock: Clock) -> None:
    link.send(b"a request", timeout=1)
    clock.meanwhile = lambda: answer(folder, b"a reply")
    assert link.receive(timeout=60) == b"a reply"
    assert (link.progress().total_bytes, link.progress().received_bytes) == (9, 7)


def test_two_conversations_have_rising_numbers_and_their_own_replies(folder: LinkFolder, link: FileLink) -> None:
    for number in range(3):
        link.send(b"the same request", timeout=1)
        answer(folder, b"reply %d" % number)
        assert link.receive(timeout=1) == b"reply %d" % number
    assert [one.number for one in folder.names()[0]] == [1, 2, 3]


def test_two_hosts_in_one_folder_do_not_mix(folder: LinkFolder, clock: Clock) -> None:
    links = [FileLink(folder, clock=clock, sleep=clock.sleep) for _ in range(2)]
    for number, one in enumerate(links):
        one.send(b"request %d" % number, timeout=1)
    for name in folder.names()[0]:
        request = folder.read_request(name)
        assert request is not None
        folder.write_reply(name, request, b"to " + request)
    assert [one.receive(timeout=1) for one in links] == [b"to request 0", b"to request 1"]


def test_a_reply_that_never_comes_says_which_file_is_missing(folder: LinkFolder, link: FileLink, clock: Clock) -> None:
    link.send(b"a request", timeout=1)
    with pytest.raises(LinkTimeoutError, match=only(folder).reply):
        link.receive(timeout=600)
    assert clock.now == pytest.approx(600)


def test_a_request_without_answer_is_taken_back_and_an_answered_one_stays(folder: LinkFolder, link: FileLink) -> None:
    link.send(b"first", timeout=1)
    answer(folder, b"reply")
    link.receive(timeout=1)
    link.send(b"second", timeout=1)
    link.close()
    assert [one.number for one in folder.names()[0]] == [1]


def test_a_folder_that_is_being_carried_is_waited_for(folder: LinkFolder, link: FileLink, clock: Clock) -> None:
    link.send(b"a request", timeout=1)
    away = folder.path.with_name("elsewhere")
    folder.path.rename(away)

    def back() -> None:
        answer(LinkFolder(away), b"a reply")
        away.rename(folder.path)

    clock.meanwhile = back
    assert link.receive(timeout=60) == b"a reply"


def test_nothing_is_received_before_something_was_asked(link: FileLink) -> None:
    with pytest.raises(LinkError, match="no request"):
        link.receive(timeout=1)


def test_a_cancelled_request_is_gone(folder: LinkFolder, link: FileLink) -> None:
    link.send(b"a request", timeout=1)
    link.cancel()
    assert folder.names() == ([], set())


@pytest.mark.parametrize("size", [0, MAX_MESSAGE_BYTES + 1])
def test_a_message_of_no_or_too_many_bytes_is_refused(link: FileLink, size: int) -> None:
    with pytest.raises(LinkError):
        link.send(bytes(size), timeout=1)


def test_the_largest_message_goes_both_ways(folder: LinkFolder, link: FileLink) -> None:
    link.send(bytes(MAX_MESSAGE_BYTES), timeout=1)
    answer(folder, b"\x01" * MAX_MESSAGE_BYTES)
    assert link.receive(timeout=1) == b"\x01" * MAX_MESSAGE_BYTES


@pytest.mark.parametrize("kept", [0, 1, 30, 160, 170, -1])
def test_a_reply_that_is_half_written_is_waited_for(
    folder: LinkFolder, link: FileLink, clock: Clock, kept: int
) -> None:
    link.send(b"a request", timeout=1)
    answer(folder, b"a reply of some length")
    file = folder.path / only(folder).reply
    whole = file.read_bytes()
    file.write_bytes(whole[:kept])
    clock.meanwhile = lambda: file.write_bytes(whole)
    assert link.receive(timeout=60) == b"a reply of some length"


def test_a_reply_whose_bytes_are_not_all_there_yet_is_waited_for(
    folder: LinkFolder, link: FileLink, clock: Clock
) -> None:
    link.send(b"a request", timeout=1)
    answer(folder, b"a reply of some length")
    file = folder.path / only(folder).reply
    whole = file.read_bytes()
    file.write_bytes(whole[:-5] + bytes(5))
    with pytest.raises(LinkTimeoutError, match="whole"):
        link.receive(timeout=10)
    file.write_bytes(whole)
    assert link.receive(timeout=1) == b"a reply of some length"


def test_attack_the_reply_to_an_earlier_request_under_the_name_of_this_one(folder: LinkFolder, link: FileLink) -> None:
    link.send(b"first", timeout=1)
    answer(folder, b"yes")
    assert link.receive(timeout=1) == b"yes"
    old = (folder.path / only(folder).reply).read_bytes()
    link.send(b"second", timeout=1)
    (folder.path / folder.names()[0][-1].reply).write_bytes(old)
    with pytest.raises(FolderFileError, match="another request"):
        link.receive(timeout=1)


def test_attack_one_request_under_the_name_of_another(folder: LinkFolder, link: FileLink) -> None:
    link.send(b"first", timeout=1)
    name = Name(2, "00000000")
    (folder.path / name.request).write_bytes((folder.path / only(folder).request).read_bytes())
    with pytest.raises(FolderFileError, match="another request"):
        folder.read_request(name)


def replace_with_symlink(file: Path) -> None:
    secret = file.with_name("secret")
    secret.write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(secret)


def replace_with_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def replace_with_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def make_huge(file: Path) -> None:
    os.truncate(file, 1 << 40)


def prepend_a_byte(file: Path) -> None:
    file.write_bytes(b"x" + file.read_bytes())


def append_a_byte(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"x")


def make_a_request_of_it(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"undercroft reply", b"undercroft request", 1))


def fill_without_end_of_line(file: Path) -> None:
    file.write_bytes(b"undercroft reply 1 " + b"1" * 5000)


def claim_a_huge_length(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"reply 1 5 ", b"reply 1 99999999 ", 1))


@pytest.mark.parametrize(
    "change",
    [
        replace_with_symlink,
        replace_with_fifo,
        replace_with_folder,
        make_huge,
        prepend_a_byte,
        append_a_byte,
        make_a_request_of_it,
        fill_without_end_of_line,
        claim_a_huge_length,
    ],
)
def test_attack_something_else_in_the_place_of_the_reply(
    folder: LinkFolder, link: FileLink, change: Callable[[Path], None]
) -> None:
    link.send(b"a request", timeout=1)
    answer(folder, b"reply")
    change(folder.path / only(folder).reply)
    with pytest.raises(FolderFileError):
        link.receive(timeout=1)


def test_attack_a_reply_that_belongs_to_another_user(
    folder: LinkFolder, link: FileLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    link.send(b"a request", timeout=1)
    answer(folder, b"a reply")
    if os.geteuid() == 0:
        os.chown(folder.path / only(folder).reply, 12345, 12345)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(FolderFileError, match="somebody else"):
        link.receive(timeout=1)


def test_attack_a_symbolic_link_where_the_request_will_be_written(tmp_path: Path, folder: LinkFolder) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    known = LinkFolder(folder.path, entropy=bytes)
    digest = sha256(b"a request").hex()[:8]
    (folder.path / f".000001-{digest}.request.{bytes(8).hex()}").symlink_to(victim)
    with pytest.raises(FolderError):
        known.write_request(b"a request")
    assert victim.read_bytes() == b"precious"


def test_attack_a_folder_that_everybody_can_write_is_refused(folder: LinkFolder) -> None:
    folder.path.chmod(0o777)
    with pytest.raises(FolderError, match="chmod"):
        FileLink.open(folder.path)
    with pytest.raises(FolderError, match="chmod"):
        folder.write_request(b"a request")


def test_attack_a_folder_of_endless_files_is_not_read_to_its_end(
    folder: LinkFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("undercroft_protocol.link_folder._MOST_FILES", 10)
    for number in range(11):
        (folder.path / f"{number}.junk").touch()
    with pytest.raises(FolderError, match="more than 10"):
        folder.names()


def test_a_folder_must_be_there_be_absolute_and_be_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "none", tmp_path / "file", Path("here")):
        with pytest.raises(FolderError):
            FileLink.open(path)


def test_a_full_number_range_is_said_and_not_wrapped(folder: LinkFolder) -> None:
    (folder.path / Name(999_999, "00000000").request).touch()
    with pytest.raises(FolderError, match="another folder"):
        folder.write_request(b"a request")


def test_a_folder_in_which_nothing_can_be_written_leaves_nothing_behind(
    folder: LinkFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FolderError, match="No space"):
        folder.write_request(b"a request")
    assert list(folder.path.iterdir()) == []


def test_readers_see_whole_files_only_while_they_are_written(folder: LinkFolder) -> None:
    message = os.urandom(300_000)
    seen: list[bytes | None] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.extend(folder.read_request(name) for name in folder.names()[0])

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(5):
        folder.write_request(message)
    done.set()
    reader.join()
    assert set(seen) <= {message}


@given(st.integers(0, 300), st.integers(1, 255), st.sampled_from(["flip", "insert", "delete", "truncate"]))
def test_attack_a_file_with_any_one_change_is_never_another_message(at: int, value: int, change: str) -> None:
    with tempfile.TemporaryDirectory() as path:
        folder = LinkFolder(Path(path))
        name = folder.write_request(b"a request")
        folder.write_reply(name, b"a request", b"a reply that is longer than nothing")
        file = Path(path) / name.reply
        data = bytearray(file.read_bytes())
        at %= len(data)
        if change == "flip":
            data[at] ^= value
        elif change == "insert":
            data.insert(at, value)
        elif change == "delete":
            del data[at]
        else:
            del data[at:]
        file.write_bytes(data)
        try:
            found = folder.read_reply(name, b"a request")
        except FolderFileError:
            return
        assert found is None


@given(st.integers(0, 999_999), st.binary(min_size=4, max_size=4))
def test_every_name_is_read_as_it_was_written(number: int, digest: bytes) -> None:
    name = Name(number, digest.hex())
    assert parse_name(name.request) == (name, "request")
    assert parse_name(name.reply) == (name, "reply")


@given(st.text() | st.from_regex(r"[0-9]{6}-[0-9a-f]{8}\.(request|reply)\n?", fullmatch=True))
def test_a_text_is_a_name_only_if_it_is_written_back_the_same(text: str) -> None:
    parsed = parse_name(text)
    if parsed is not None:
        assert text == (parsed[0].request if parsed[1] == "request" else parsed[0].reply)
    else:
        assert not (text.isascii() and len(text) in (21, 23) and text[6:7] == "-" and text[15:] in (".reply",))


@given(st.lists(st.tuples(st.integers(0, 999_999), st.sampled_from(["00000000", "ffffffff"])), max_size=8))
def test_requests_come_in_the_order_of_their_numbers(pairs: list[tuple[int, str]]) -> None:
    names = sorted(Name(number, digest) for number, digest in pairs)
    assert [one.number for one in names] == sorted(number for number, _ in pairs)
    assert sorted(one.request for one in names) == [one.request for one in names]
