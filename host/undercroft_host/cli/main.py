"""The entry point of ``undercroft``."""

from __future__ import annotations

import signal

from .program import Program

cli = Program(
    name="undercroft",
    help="""The online side of Undercroft: a semi-offline hot wallet, 2 of 3, with its keys on three appliances.

    Data go to stdout, all else to stderr. Exit codes: 0 done, 1 failure, 2 usage, 3 not found, 4 conflict, 5 refused
    by a rule, 6 waiting for approval, 7 backend unreachable, 8 integrity alarm, 130 interrupted.""",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)


def main() -> None:
    """Run the command line and exit; being told to end is as Ctrl-C."""
    # Codes would stay on a terminal without a cursor, and a request in a folder that nobody waits for.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    cli.main()


if __name__ == "__main__":
    main()
