"""Converts the TeX formulas of docs/sheet.md to MathML, which browsers draw without a script and without a download."""

import html
import re
from collections.abc import Callable

MINUS = "\N{MINUS SIGN}"
# The commands that the formulas of docs/sheet.md contain. Names of functions are upright; Greek letters are variables.
VARIABLES = {
    "alpha": "\N{GREEK SMALL LETTER ALPHA}", "beta": "β", "delta": "δ", "epsilon": "ϵ", "eta": "η", "lambda": "λ", "mu": "μ",
    "phi": "φ", "Phi": "Φ", "pi": "π", "sigma": "\N{GREEK SMALL LETTER SIGMA}",
    "log": "log", "max": "max", "min": "min", "tanh": "tanh", "cosh": "cosh",
}  # fmt: skip
OPERATORS = {
    "partial": "∂", "le": "≤", "ge": "≥", "ne": "≠", "neq": "≠", "ll": "≪", "leftarrow": "←", "cdot": "⋅",
    "lVert": "‖", "rVert": "‖", "vert": "|", "approx": "≈",
}  # fmt: skip
FENCES = ("Big", "big", "left", "right")
TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[0-9]+(?:\.[0-9]+)?|[A-Za-z]{3,}|[^\s]")


def inline(text: str) -> str:
    """Converts a string with formulas between dollar signs to HTML in which the formulas are MathML."""
    parts = text.split("$")
    return "".join(mathml(part) if number % 2 else html.escape(part) for number, part in enumerate(parts))


def mathml(formula: str) -> str:
    """Converts a TeX formula to a MathML element.

    Parameters
    ----------
    formula : str
        A formula with the TeX commands that docs/sheet.md uses, without dollar signs.

    Returns
    -------
    str
        The element `<math>`, in display style.

    Raises
    ------
    ValueError
        The formula contains an unknown command, or its braces do not match.
    """
    parser = _Parser(formula)
    content = parser.row(until=None)
    return f'<math displaystyle="true"><mrow>{content}</mrow></math>'


class _Parser:
    """Reads the tokens of a formula from left to right."""

    def __init__(self, formula: str):
        self.formula, self.tokens, self.at = formula, TOKEN.findall(formula), 0

    def next(self) -> str:
        """Returns the next token."""
        if self.at == len(self.tokens):
            raise ValueError(f"the formula {self.formula!r} ends too early: a brace, an argument or an index is missing")
        self.at += 1
        return self.tokens[self.at - 1]

    def follows(self, *tokens: str) -> bool:
        """Returns whether the next token is one of the given tokens."""
        return self.at < len(self.tokens) and self.tokens[self.at] in tokens

    def row(self, until: str | None) -> str:
        """Returns the elements, each with its subscript and superscript, up to the token `until` or the end of the formula."""
        elements = []
        while self.at < len(self.tokens) and self.tokens[self.at] != until:
            elements.append(self.with_indices())
        if until:
            self.next()
        return "".join(elements)

    def with_indices(self) -> str:
        """Returns the next element with the subscript and the superscript that follow it."""
        is_sum = self.follows(r"\sum")
        base, below, above = self.element(), "", ""
        while self.follows("_", "^"):
            if self.next() == "_":
                below = self.element()
            else:
                above = self.element()
        names = ("munder", "mover", "munderover") if is_sum else ("msub", "msup", "msubsup")
        if below and above:
            return f"<{names[2]}>{base}{below}{above}</{names[2]}>"
        if below or above:
            name = names[0] if below else names[1]
            return f"<{name}>{base}{below or above}</{name}>"
        return base

    def element(self) -> str:
        """Returns the next element without sub- and superscript: a letter, number, operator, command or group in braces."""
        token = self.next()
        if token == "{":
            return f"<mrow>{self.row(until='}')}</mrow>"
        if token.startswith("\\"):
            return self.command(token[1:])
        if token.isalpha():
            return f"<mi>{token}</mi>"
        if token[0].isdigit():
            return f"<mn>{token}</mn>"
        fence = ' stretchy="false"' if token in "()[]|" else ""
        return f"<mo{fence}>{html.escape(MINUS if token == '-' else token)}</mo>"

    def command(self, name: str) -> str:
        """Returns the MathML element of the TeX command `name`; the arguments of the command are the next elements."""
        if name in VARIABLES:
            return f"<mi>{VARIABLES[name]}</mi>"
        if name in OPERATORS:
            return f"<mo>{OPERATORS[name]}</mo>"
        if name in FENCES:
            return f"<mo stretchy='true'>{html.escape(self.next())}</mo>"
        if name in COMMANDS:
            return COMMANDS[name](self)
        raise ValueError(f"the formula {self.formula!r} contains the unknown command \\{name}")


COMMANDS: dict[str, Callable[[_Parser], str]] = {
    "frac": lambda parser: f"<mfrac>{parser.element()}{parser.element()}</mfrac>",
    "sqrt": lambda parser: f"<msqrt>{parser.element()}</msqrt>",
    "hat": lambda parser: f'<mover accent="true">{parser.element()}<mo stretchy="false">^</mo></mover>',
    "sum": lambda parser: "<mo>∑</mo>",
}
