"""The directive ``command-line``: every command and option, out of the parser."""

import argparse

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from skcaptcha.cli._parser import make_parser


class CommandLineDirective(SphinxDirective):
    """Writes a section for each command: what it does, its options, its examples."""

    def run(self):
        """Return the sections."""
        (commands,) = (
            action
            for action in make_parser()._actions
            if isinstance(action, argparse._SubParsersAction)
        )
        return [
            self.make_section(name, parser) for name, parser in commands.choices.items()
        ]

    def make_section(self, name, parser):
        """Return the section of one command."""
        section = nodes.section(ids=[f"skcaptcha-{name}"])
        section += nodes.title(text=f"skcaptcha {name}")
        if parser.description:
            section += nodes.paragraph(text=" ".join(parser.description.split()))
        options = nodes.definition_list(classes=["options"])
        for action in parser._actions:
            if action.help != argparse.SUPPRESS:
                options += make_item(action, parser)
        section += options
        if parser.epilog:
            text = parser.epilog.strip()
            section += nodes.literal_block(text, text, language="text")
        return section


def make_item(action, parser):
    """Return an option or argument with its help."""
    formatter = parser._get_formatter()
    names = formatter._format_action_invocation(action)
    text = formatter._expand_help(action) if action.help else ""
    term = nodes.term("", "", nodes.literal(text=names))
    return nodes.definition_list_item(
        "", term, nodes.definition("", nodes.paragraph(text=text))
    )


def setup(app):
    """Register the directive."""
    app.add_directive("command-line", CommandLineDirective)
    return {"parallel_read_safe": True}
