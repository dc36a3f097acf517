"""The command line's parser: argparse's, with errors in one sentence that name the nearest right word."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from pygent_shared.errors import CallerError, UnknownName, did_you_mean


class UsageInvalid(CallerError):
    """A command line that cannot be understood; `program` is the command as typed, such as `pygent list`."""

    def __init__(self, program: str, why: str) -> None:
        super().__init__(f"{program}: {why.rstrip('.')}. See: {program} --help".replace("?.", "?"))


class Parser(argparse.ArgumentParser):
    """Raises instead of printing and exiting. Knows no abbreviations, which the next option may make
    ambiguous.

    `split` parts a command's own words from the rest, which it takes as they are (`chosen.rest`).
    """

    def __init__(self, **options: Any) -> None:
        self.split: Callable[[Sequence[str]], tuple[Sequence[str], Sequence[str]]] = lambda words: (words, ())
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **options)

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """The words, parsed.

        Raises:
            UsageInvalid: a word is unknown, missing or not wanted.
            SystemExit: after help was asked for and printed.
        """
        words, rest = self.split(words)
        self._refuse_unknown_options(words)
        chosen, left = self.parse_known_args(words)
        if left:
            self.error(f'"{left[0]}" is one word too many')
        chosen.rest = list(rest)
        return chosen

    def takes_value(self, option: str) -> bool:
        """Whether the word after this option belongs to it."""
        action = self._option_string_actions.get(option)
        return action is not None and action.nargs is None

    def error(self, message: str) -> NoReturn:
        raise UsageInvalid(self.prog, message)

    def _refuse_unknown_options(self, words: Iterable[str]) -> None:
        """Before argparse looks for what is missing: a misspelled option is the likelier cause."""
        known = [name for name in self._option_string_actions if name.startswith("--")]
        for word in words:
            name = word.partition("=")[0]
            if word == "--":
                return
            if name.startswith("--") and name not in known:
                self.error(f'there is no option "{name}".{did_you_mean(name, known)}')


def one_of(kind: str, known: Iterable[str]) -> Callable[[str], str]:
    """For `type=`: takes one of the known words.

    Raises (when called):
        UnknownName: it is none of them.
    """
    words = list(known)

    def chosen(word: str) -> str:
        if word not in words:
            raise UnknownName(kind, word, words)
        return word

    return chosen


def seconds(word: str) -> float:
    """For `type=`: a number of seconds."""
    try:
        value = float(word)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f'"{word}" is no number of seconds')
    return value


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`, for machines."""
    parser.add_argument("--json", action="store_true", help="Print one JSON document instead.")


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Every setting as a flag, of which the help shows the config file's alone."""
    from pygent_shared.settings import rows

    group = parser.add_argument_group(
        "settings", "Every setting is a flag as well, such as --data-dir; see them: pygent doctor --settings"
    )
    for setting in rows():
        if not setting.secret:
            help = setting.help if setting.name == "config" else argparse.SUPPRESS
            group.add_argument("--" + setting.name.replace("_", "-"), metavar="FILE", help=help)
