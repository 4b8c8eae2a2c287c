"""The home folder: modes, keys that are made once and never shown, a configuration in which every entry counts."""

from __future__ import annotations

import pickle
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli_support import SEEDS
from message_examples import VAULT
from undercroft_host.cli.main import cli
from undercroft_host.cli.options import Options
from undercroft_host.config import Config, home_folder, load_config
from undercroft_host.errors import ConfigurationProblem, Conflict, IntegrityAlarm, KeyFileProblem, NotFound
from undercroft_host.keys import create_key, load_key


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_all_of_a_new_home_is_for_its_user_only(make_home: Callable[[], Config]) -> None:
    config = make_home()
    files = [path for path in config.home.rglob("*") if path.is_file()]
    assert sorted(path.name for path in files) == ["risk.key", "risk.toml", "undercroft.toml", "vault.key"]
    assert {mode(path) for path in files} == {0o600}
    folders = [config.home, *(path for path in config.home.rglob("*") if path.is_dir())]
    assert {mode(path) for path in folders} == {0o700}


def test_vault_and_risk_have_keys_and_folders_of_their_own(make_home: Callable[[], Config]) -> None:
    config = make_home()
    assert config.vault_key.parent != config.risk_key.parent
    assert load_key(config.vault_key, config.vault_public_key).public_key == bytes(VAULT.verify_key)
    assert load_key(config.risk_key).public_key == config.risk_public_key


def test_what_is_written_is_what_is_read(make_home: Callable[[], Config]) -> None:
    config = make_home()
    assert load_config(config.home) == config
    assert config.database_url == f"sqlite:///{config.home / 'undercroft.db'}"


def test_a_key_signs_and_shows_nothing_of_itself(make_home: Callable[[], Config]) -> None:
    signer = load_key(make_home().vault_key)
    VAULT.verify_key.verify(b"something", signer.sign(b"something"))
    shown = f"{signer!r} {signer} {vars(type(signer)).keys()}"
    assert SEEDS[0].hex() not in shown
    assert repr(SEEDS[0]) not in shown
    with pytest.raises(TypeError):
        pickle.dumps(signer)


def test_attack_a_key_file_that_is_there_already_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "vault" / "vault.key"
    create_key(path, bytes)
    with pytest.raises(Conflict):
        create_key(path, lambda size: b"\x01" * size)
    assert path.read_bytes() == bytes(32)


def test_attack_a_link_in_the_place_of_a_key_file_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "vault.key").symlink_to(elsewhere)
    with pytest.raises(Conflict):
        create_key(tmp_path / "vault.key", bytes)
    assert not elsewhere.exists()
    create_key(elsewhere, bytes)
    with pytest.raises(KeyFileProblem):
        load_key(tmp_path / "vault.key")


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o660])
def test_attack_a_key_that_others_can_read_or_write_is_refused(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "vault.key"
    create_key(path, bytes)
    path.chmod(bits)
    with pytest.raises(KeyFileProblem, match="0600"):
        load_key(path)


@pytest.mark.parametrize("content", [b"", bytes(31), bytes(33)])
def test_a_file_that_is_no_key_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "vault.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileProblem, match="32 bytes"):
        load_key(path)


def test_a_key_file_that_is_not_there_is_not_found_and_a_folder_is_no_key(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load_key(tmp_path / "vault.key")
    with pytest.raises(KeyFileProblem):
        load_key(tmp_path)


def test_attack_a_key_swapped_for_another_raises_the_alarm(make_home: Callable[[], Config]) -> None:
    config = make_home()
    with pytest.raises(IntegrityAlarm):
        load_key(config.risk_key, config.vault_public_key)


@pytest.mark.parametrize("name", [".", "undercroft.toml"])
def test_attack_a_home_that_others_can_write_is_refused(make_home: Callable[[], Config], name: str) -> None:
    config = make_home()
    (config.home / name).chmod(0o770)
    with pytest.raises(ConfigurationProblem, match="must belong to you"):
        load_config(config.home)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('network = "regtest"', 'network = "regnet"', "network must be one of"),
        ('network = "regtest"', "", "network is missing"),
        ('network = "regtest"', "network = 1", "network must be text"),
        ("settle_confirmations = 2", "settle_confirmation = 2", "settle_confirmations is missing"),
        ("settle_confirmations = 2", "settle_confirmations = 0", "from 1 to 1000"),
        ("settle_confirmations = 2", "settle_confirmations = true", "from 1 to 1000"),
        ("[node]", "extra = 1\n[node]", "extra is not known"),
        ("[keys]", "password = 1\n[keys]", "node.password is not known"),
        ("http://127.0.0.1:1", "http://user:secret@127.0.0.1:1", "must not hold a user or password"),
        ("http://127.0.0.1:1", "ftp://127.0.0.1", "must be http"),
        ('vault_public = "', 'vault_public = "x', "must be 64 hex digits"),
        ("[node]", "[node", "undercroft.toml"),
    ],
)
def test_a_configuration_with_one_wrong_entry_is_refused_by_name(
    make_home: Callable[[], Config], old: str, new: str, says: str
) -> None:
    file = make_home().home / "undercroft.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(ConfigurationProblem, match=says) as raised:
        load_config(file.parent)
    assert "secret" not in str(raised.value)


def test_the_home_is_the_option_else_the_variable_else_the_users_data_folder(tmp_path: Path) -> None:
    assert home_folder("/x", {"UNDERCROFT_HOME": "/y"}) == Path("/x")
    assert home_folder(None, {"UNDERCROFT_HOME": "/y", "XDG_DATA_HOME": "/z"}) == Path("/y")
    assert home_folder(None, {"XDG_DATA_HOME": "/z"}) == Path("/z/undercroft")
    assert home_folder(None, {}) == Path("~/.local/share/undercroft").expanduser()


def init(home: Path, *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(cli, ["init", "--home", str(home), *arguments], obj=Options(environment={}))
    assert result.exit_code == code, result.output
    return result.output


NODE = ("--network", "regtest", "--rpc-url", "http://127.0.0.1:1", "--rpc-cookie", "/nowhere/.cookie")


def test_init_makes_a_home_that_works_and_again_changes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "new home"
    first = init(home, *NODE)
    keys = {path: path.read_bytes() for path in home.rglob("*.key")}
    assert init(home) == init(home, *NODE) == first
    assert {path: path.read_bytes() for path in home.rglob("*.key")} == keys
    assert mode(home / "undercroft.db") == 0o600
    for seed in keys.values():
        assert seed.hex() not in first


def test_init_with_other_values_than_the_home_has_is_a_conflict(tmp_path: Path) -> None:
    home = tmp_path / "home"
    init(home, *NODE)
    assert "says network regtest" in init(home, "--network", "signet", code=4)
    assert "says rpc-cookie" in init(home, "--rpc-cookie", "/other", code=4)


def test_init_of_a_new_home_needs_its_node_and_takes_no_password(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert "--network" in init(home, "--rpc-url", "http://127.0.0.1:1", code=2)
    init(home, *NODE[:2], "--rpc-url", "http://user:geheim@127.0.0.1:1", *NODE[4:], code=1)
    said = init(home, *NODE, "--database", "postgresql://user:geheim@host/books", code=1)
    assert "geheim" not in said
    assert not home.exists()
