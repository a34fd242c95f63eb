"""Completion of the command line in bash, zsh and fish.

Owns: `script`, which writes it from the options that the parser has: nothing is listed twice.

May not know: what commands do. Its neighbour is `cli`, whose parser it walks. A package that completes
from within Python (argcomplete) was rejected: it would start an interpreter at each press of Tab.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Command:
    """What may follow the words of one command."""

    words: str
    help: str = ""
    below: list[Command] = field(default_factory=list)
    options: list[tuple[str, str]] = field(default_factory=list)
    """Names and what they are for."""
    values: dict[str, list[str]] = field(default_factory=dict)
    """By option, of those that take a value: what it may be; nothing: a file, as far as one can tell."""


def walk(parser: argparse.ArgumentParser, words: str, about: str = "") -> Command:
    """What a parser takes, and the parsers below it."""
    made = Command(words, about)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, inner in action.choices.items():
                made.below.append(walk(inner, f"{words} {name}", helps.get(name, "")))
        for option in action.option_strings:
            if option.startswith("--"):
                made.options.append((option, action.help or ""))
            if action.nargs != 0:
                made.values[option] = [str(choice) for choice in action.choices or ()]
    return made


def all_of(command: Command) -> Iterator[Command]:
    yield command
    for inner in command.below:
        yield from all_of(inner)


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """What the shell has to read."""
    top = walk(parser, "flowy")
    return {"bash": bash, "zsh": zsh, "fish": fish}[shell](top)


def _cases(top: Command) -> tuple[list[str], list[str], list[str]]:
    """For shells that have `case`: the ways to commands, values of options, words of commands."""
    ways = [f'"{c.words}"' for c in all_of(top) if c is not top]
    values = []
    words = []
    for command in all_of(top):
        for option, choices in command.values.items():
            values.append(f'"{command.words} {option}") found="{" ".join(choices)}"; valued=1 ;;')
        names = [inner.words.rpartition(" ")[2] for inner in command.below]
        options = [name for name, _ in command.options]
        both = f'commands="{" ".join(names)}"; options="{" ".join(options)}"'
        words.append(f'"{command.words}") {both} ;;')
    return ways, values, words


_COMMON = """\
    local way=flowy commands= options= found= valued= word
    for word in "${{before[@]}}"; do
        case "$way $word" in
            {ways}) way="$way $word" ;;
        esac
    done
    case "$way $last" in
        {values}
    esac
    case "$way" in
        {words}
    esac
"""


def _common(top: Command) -> str:
    ways, values, words = _cases(top)
    gap = "\n        "
    return _COMMON.format(ways="|".join(ways), values=gap.join(values), words=gap.join(words))


def bash(top: Command) -> str:
    return f"""\
# Completion of flowy for bash: source <(flowy completion bash)
_flowy() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} last=${{COMP_WORDS[COMP_CWORD-1]}}
    local before=("${{COMP_WORDS[@]:1:COMP_CWORD-1}}")
{_common(top)}\
    COMPREPLY=()
    if [[ -z $valued ]]; then
        found=$commands
        [[ $current == -* ]] && found=$options
    fi
    [[ -n $found ]] && COMPREPLY=($(compgen -W "$found" -- "$current"))
    [[ -z $found ]] && COMPREPLY=($(compgen -f -- "$current"))
    return 0
}}
complete -o filenames -F _flowy flowy
"""


def zsh(top: Command) -> str:
    return f"""\
#compdef flowy
# Completion of flowy for zsh: flowy completion zsh > a file _flowy in a folder of $fpath,
# or source <(flowy completion zsh)
_flowy() {{
    local current=${{words[CURRENT]}} last=${{words[CURRENT-1]}}
    local -a before=("${{(@)words[2,CURRENT-1]}}")
{_common(top)}\
    if [[ -z $valued ]]; then
        found=$commands
        [[ $current == -* ]] && found=$options
    fi
    if [[ -n $found ]]; then
        compadd -- ${{=found}}
    else
        _files
    fi
}}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _flowy "$@"
else
    compdef _flowy flowy
fi
"""


def fish(top: Command) -> str:
    lines = ["# Completion of flowy for fish: flowy completion fish | source"]
    for command in all_of(top):
        path = command.words.split()[1:]
        here = [f"__fish_seen_subcommand_from {word}" for word in path]
        names = [inner.words.rpartition(" ")[2] for inner in command.below]
        if names:
            here.append(f"not __fish_seen_subcommand_from {' '.join(names)}")
        condition = f"-n {_quote('; and '.join(here))} " if here else ""
        for inner in command.below:
            name = inner.words.rpartition(" ")[2]
            lines.append(f"complete -c flowy {condition}-f -a {name} -d {_quote(inner.help)}")
        for option, about in command.options:
            line = f"complete -c flowy {condition}-l {option[2:]} -d {_quote(about)}"
            if option in command.values:
                choices = command.values[option]
                line += f" -x -a {_quote(' '.join(choices))}" if choices else " -r"
            lines.append(line)
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    r"""A word of fish.

    >>> print(_quote("it's"))
    'it\'s'
    """
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
