"""The directive ``command-line``: every command and option, out of the parser."""

import argparse

from docutils import nodes
from docutils.parsers.rst import Directive

from skcaptcha.cli._parser import make_parser

# What every command has; the page says so once.
COMMON = {"help", "debug"}


class CommandLineDirective(Directive):
    """Writes a section for each command: usage, arguments, options and examples."""

    def run(self):
        """Return the sections."""
        return make_sections()


def make_sections():
    """Return the section of each command."""
    (commands,) = (
        action
        for action in make_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return [make_section(name, parser) for name, parser in commands.choices.items()]


def make_section(name, parser):
    """Return the section of one command."""
    section = nodes.section(ids=[f"skcaptcha-{name}"])
    section += nodes.title(text=f"skcaptcha {name}")
    if parser.description:
        section += nodes.paragraph(text=" ".join(parser.description.split()))
    section += make_block(make_usage(parser))
    actions = [
        action
        for action in parser._actions
        if action.help != argparse.SUPPRESS and action.dest not in COMMON
    ]
    for title, is_option in (("Arguments", False), ("Options", True)):
        items = [a for a in actions if bool(a.option_strings) is is_option]
        if items:
            section += nodes.rubric(text=title)
            listed = nodes.definition_list(classes=["options"])
            listed += [make_item(action, parser) for action in items]
            section += listed
    if parser.epilog:
        section += make_block(parser.epilog.strip())
    return section


def make_usage(parser):
    """Return a line with the arguments and the options that have to be given."""
    words = [parser.prog]
    formatter = parser._get_formatter()
    for action in parser._actions:
        if action.option_strings and action.required:
            words += [action.option_strings[-1], action.metavar]
        elif not action.option_strings:
            words.append(formatter._format_args(action, action.metavar))
    return " ".join([*words, "[OPTIONS]"])


def make_block(text):
    """Return a block of plain text."""
    return nodes.literal_block(text, text, language="text")


def make_item(action, parser):
    """Return an option or argument with its help."""
    formatter = parser._get_formatter()
    names = formatter._format_action_invocation(action)
    text = formatter._expand_help(action) if action.help else ""
    if action.required and action.option_strings:
        text += " (required)"
    term = nodes.term("", "", nodes.literal(text=names))
    return nodes.definition_list_item(
        "", term, nodes.definition("", nodes.paragraph(text=text))
    )


def setup(app):
    """Register the directive."""
    app.add_directive("command-line", CommandLineDirective)
    return {"parallel_read_safe": True}
