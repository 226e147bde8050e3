"""The command: Ctrl-C is taken before anything else is imported."""

import _signal  # type: ignore[import-not-found]

_signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # until it is taken, it ends the process, without a word

import sys  # noqa: E402

from lenette.interrupts import take_ctrl_c  # noqa: E402


def main() -> None:
    """Run the command line."""
    take_ctrl_c()
    try:
        from lenette.cli import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
