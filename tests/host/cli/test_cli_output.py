"""Data on stdout, as one JSON value or as plain tables; options anywhere; help and completion for all of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from cli_support import Line
from undercroft_host.cli import output
from undercroft_host.cli.main import cli
from undercroft_host.cli.options import Options
from undercroft_host.cli.program import Program


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command with its words."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*path, name))


@pytest.mark.parametrize("path", [path for path, _ in commands(cli)], ids=" ".join)
def test_every_command_has_help_and_takes_the_global_options(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*path, "--help"], obj=Options(environment={}))
    assert result.exit_code == 0
    assert "--json" in result.stdout
    assert "--home" in result.stdout
    described = result.stdout.split("Options:")[0].strip().splitlines()
    assert len(described) > 1


def test_the_commands_are_those_that_were_promised() -> None:
    found = {" ".join(path) for path, command in commands(cli) if not isinstance(command, click.Group)}
    assert found == {
        "init",
        "status",
        "freeze",
        *(f"appliance {verb}" for verb in ("add", "list", "show", "lock", "freeze", "log")),
        *(f"quorum {verb}" for verb in ("declare", "form", "accept", "show", "descriptor", "export")),
        *(f"policy {verb}" for verb in ("propose", "approve", "show", "test")),
        *(f"activation {verb}" for verb in ("open", "grant", "list")),
        *(f"account {verb}" for verb in ("open", "list")),
        *(f"address {verb}" for verb in ("issue", "list")),
        "gateway sync",
        "deposit list",
        *(f"risk {verb}" for verb in ("run", "show")),
        *(f"treasury {verb}" for verb in ("run", "balance", "reconcile")),
        *(f"withdrawal {verb}" for verb in ("request", "import", "list", "show", "cancel")),
        *(f"payment {verb}" for verb in ("build", "list", "show", "send", "resend", "broadcast", "cancel", "psbt")),
        "psbt sign",
        "carry",
        *(f"qr {verb}" for verb in ("show", "scan")),
        *(f"audit {verb}" for verb in ("verify", "list")),
        "completion",
    }


def test_help_does_not_load_the_database_or_the_protocol() -> None:
    script = (
        "import sys; sys.argv = ['undercroft', '--help']\n"
        "from undercroft_host.cli.main import main\n"
        "try: main()\n"
        "finally: print([one for one in ('sqlalchemy', 'alembic', 'rich', 'nacl', 'coincurve') if one in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_json_may_stand_before_and_after_noun_and_verb(line: Line, place: int) -> None:
    arguments = ["account", "list"]
    arguments.insert(place, "--json")
    assert json.loads(line.run(*arguments).stdout) == []


def test_the_home_may_stand_anywhere_and_the_variable_counts_without_it(line: Line) -> None:
    home = str(line.home)
    runner = CliRunner()
    for arguments in (["--home", home, "account", "list"], ["account", "list", "--home", home]):
        assert runner.invoke(cli, arguments, obj=Options(environment={})).exit_code == 0
    options = Options(environment={"UNDERCROFT_HOME": home})
    assert runner.invoke(cli, ["account", "list"], obj=options).exit_code == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_shells_script(line: Line, shell: str) -> None:
    script = line.run("completion", shell).stdout
    assert "_UNDERCROFT_COMPLETE" in script
    assert line.json("completion", shell)["script"] == script.rstrip("\n") + script[len(script.rstrip("\n")) : -1]


def test_completion_knows_nouns_verbs_and_options(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = CliRunner()
    for words, expected in (("undercroft qu", "quorum"), ("undercroft payment re", "resend")):
        environment = {
            "_UNDERCROFT_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        }
        result = runner.invoke(cli, [], env=environment, obj=Options(environment={}))
        assert expected in result.stdout


def test_piped_tables_are_plain_and_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"name": "alice", "balance_sats": 5}, {"name": "bo", "balance_sats": 1000}]
    output.render(rows, as_json=False, text=None)
    assert capsys.readouterr().out.splitlines() == ["name   balance sats", "alice             5", "bo             1000"]


def test_facts_come_before_what_is_nested_under_its_own_name(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"rows": [{"a": None, "b": True}], "state": "built", "part": {"x": [1, 2]}, "none": []}
    output.render(data, as_json=False, text=None)
    assert capsys.readouterr().out.splitlines() == [
        "state  built",
        "none   -",
        "",
        "rows",
        "a  b",
        "-  yes",
        "",
        "part",
        "  x  1, 2",
    ]


def test_an_empty_list_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    output.render([], as_json=False, text=None)
    assert capsys.readouterr().out == "(none)\n"


def test_attack_control_characters_in_data_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    output.render([{"name": "\x1b[2Jevil\u202e"}], as_json=False, text=None)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    assert "?[2Jevil?" in printed


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_a_terminal_gets_a_rich_table_without_colour_when_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], no_color: str, coloured: bool
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", no_color)
    if not no_color:
        monkeypatch.delenv("NO_COLOR")
    output.render([{"name": "[red]alice[/red]"}], as_json=False, text=None)
    printed = capsys.readouterr().out
    assert "[red]alice[/red]" in printed
    assert ("\x1b[" in printed) >= coloured - 1
    assert "\x1b[3" not in printed


def test_moments_are_utc() -> None:
    assert output.moment(1_790_000_000) == "2026-09-21T14:13:20Z"
    assert output.moment(None) is None


def test_a_reader_that_has_enough_ends_the_command_quietly() -> None:
    command = [sys.executable, "-m", "undercroft_host.cli.main", "completion", "bash"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 1


def test_the_program_is_a_lazy_group() -> None:
    assert isinstance(cli, Program)
    assert cli.get_command(click.Context(cli), "nothing") is None
