"""The command: Ctrl-C is taken before anything else is imported."""

import _signal  # type: ignore[import-not-found]

_signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # until it is taken, it ends the process, without a word

import io  # noqa: E402
import sys  # noqa: E402

from lenette.interrupts import take_ctrl_c  # noqa: E402


def main() -> None:
    """Run the command line."""
    take_ctrl_c()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the code page lacks is written as \\u96f6
            stream.reconfigure(errors="backslashreplace")
    try:
        from lenette.cli import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
