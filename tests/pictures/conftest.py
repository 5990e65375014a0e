"""Fixtures of the tests of pictures."""

import functools

import pytest


@pytest.fixture(scope="package", autouse=True)
def formulas_and_fonts_are_remembered():
    """Makes matplotlib remember each formula that it has parsed and each font that it has found.

    By default, matplotlib remembers only the last 50 formulas, and looks for a text's font whenever it measures the text.
    """
    pytest.importorskip("matplotlib")
    from matplotlib.font_manager import FontManager
    from matplotlib.mathtext import MathTextParser

    parse, found = MathTextParser._parse_cached.__wrapped__, functools.cache(FontManager._find_fonts_by_props)
    parsers = {"vector": MathTextParser("path"), "raster": MathTextParser("agg")}
    parsed = functools.cache(lambda output, *arguments: parse(parsers[output], *arguments))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MathTextParser, "_parse_cached", lambda self, *arguments: parsed(self._output_type, *arguments))
        patch.setattr(FontManager, "_find_fonts_by_props", lambda self, font, **options: found(self, font.copy(), **options))
        yield
