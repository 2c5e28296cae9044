"""`pyipc completion`: what shells complete, made from what the commands themselves say."""

from __future__ import annotations

import argparse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

_BASH = """\
_pyipc() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} words
    COMPREPLY=()
    if [ "$COMP_CWORD" -eq 1 ]; then
        words={commands}
    else
        case ${{COMP_WORDS[1]}}:$before in
{choices}
        *) case ${{COMP_WORDS[1]}} in
{options}
            esac ;;
        esac
    fi
    local IFS=$'\\n'
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    local at
    for at in "${{!COMPREPLY[@]}}"; do COMPREPLY[at]=$(printf %q "${{COMPREPLY[at]}}"); done
}}
complete -F _pyipc pyipc
"""
_SHELLS = ("bash", "zsh", "fish")


def add_arguments(parser: ArgumentParser) -> None:
    """What it can be told."""
    parser.description = (
        'Print a completion script. bash: eval "$(pyipc completion bash)" in ~/.bashrc; zsh: the same with '
        "zsh in ~/.zshrc; fish: pyipc completion fish >~/.config/fish/completions/pyipc.fish"
    )
    parser.add_argument("shell", choices=_SHELLS)


def run(arguments: Namespace) -> int:
    """Print it."""
    from . import every_command

    commands = every_command()
    if arguments.shell == "fish":
        print(_fish(commands), end="")
    else:
        if arguments.shell == "zsh":
            print("autoload -U +X bashcompinit && bashcompinit")
        print(_bash(commands), end="")
    return 0


def _bash(commands: dict[str, tuple[str, ArgumentParser]]) -> str:
    options, choices = [], []
    for name, (_, parser) in commands.items():
        words: list[str] = []
        for action in _actions(parser):
            words += action.option_strings or _choices(action)
            if action.option_strings and _choices(action):
                pattern = "|".join(f"{name}:{option}" for option in action.option_strings)
                choices.append(f"        {pattern}) words={_quoted(_choices(action))} ;;")
        options.append(f"            {name}) words={_quoted(words)} ;;")
    return _BASH.format(
        commands=_quoted(list(commands)), choices="\n".join(choices), options="\n".join(options)
    )


def _fish(commands: dict[str, tuple[str, ArgumentParser]]) -> str:
    lines = ["complete -c pyipc -f"]
    for name, (summary, parser) in commands.items():
        lines.append(f"complete -c pyipc -n __fish_use_subcommand -a {name} -d '{summary}'")
        under = f"complete -c pyipc -n '__fish_seen_subcommand_from {name}'"
        for action in _actions(parser):
            names = "".join(
                f" -l {option[2:]}" if option.startswith("--") else f" -s {option[1:]}"
                for option in action.option_strings
            )
            values = _choices(action)
            given = f" -a {_quoted(values)}" if values else ""
            takes = " -r" if action.option_strings and action.nargs != 0 else ""
            if names or given:
                lines.append(f"{under}{names}{takes}{given}")
    return "\n".join(lines) + "\n"


def _actions(parser: ArgumentParser) -> list[argparse.Action]:
    return [action for action in parser._actions if action.dest != "help"]


def _choices(action: argparse.Action) -> list[str]:
    return [] if action.choices is None else [str(choice) for choice in action.choices]


def _quoted(words: list[str]) -> str:
    """For $'...': each on a line, since some have spaces in them."""
    return "$'" + "\\n".join(words) + "'"
