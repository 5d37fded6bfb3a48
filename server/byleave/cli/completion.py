"""`byleave completion`: what a shell has to read once, to complete the words of this command."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from byleave.cli import main
from byleave.cli.ending import ended


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Once, in the shell's start file:
      bash   echo 'eval "$(byleave completion bash)"' >> ~/.bashrc
      zsh    echo 'eval "$(byleave completion zsh)"' >> ~/.zshrc
      fish   byleave completion fish > ~/.config/fish/completions/byleave.fish
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise ended(f"there is no completion for `{shell}`")
    click.echo(kind(main, {}, "byleave", "_BYLEAVE_COMPLETE").source(), nl=False)
