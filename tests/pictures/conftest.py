"""Fixtures of the tests of pictures."""

import functools

import pytest


@pytest.fixture(scope="package", autouse=True)
def formulas_fonts_and_measures_are_remembered():
    """Makes matplotlib remember the formulas that it has parsed, the fonts that it has found and the sizes of texts.

    By default, matplotlib remembers only the last 50 formulas, and looks for a text's font whenever it measures the text. A
    layout measures each text several times.
    """
    pytest.importorskip("matplotlib")
    from matplotlib.font_manager import FontManager
    from matplotlib.mathtext import MathTextParser
    from matplotlib.text import Text

    parse, found = MathTextParser._parse_cached.__wrapped__, functools.cache(FontManager._find_fonts_by_props)
    parsers = {"vector": MathTextParser("path"), "raster": MathTextParser("agg")}
    parsed = functools.cache(lambda output, *arguments: parse(parsers[output], *arguments))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MathTextParser, "_parse_cached", lambda self, *arguments: parsed(self._output_type, *arguments))
        patch.setattr(FontManager, "_find_fonts_by_props", lambda self, font, **options: found(self, font.copy(), **options))
        if hasattr(Text, "_get_layout"):  # some versions of matplotlib may have no such method
            patch.setattr(Text, "_get_layout", remembering(Text._get_layout))
        yield


def remembering(measure):
    """Returns the function `Text._get_layout` with a memory: it returns the same box for texts that agree in all properties."""
    boxes = {}

    def measure_once(text, renderer):
        if text.get_wrap() or text.get_usetex() or text.get_transform_rotates_text():
            return measure(text, renderer)
        properties = (
            *(type(renderer), type(getattr(renderer, "_renderer", None)), text.get_figure(root=True).dpi),
            *(text.get_text(), text.get_parse_math(), hash(text.get_fontproperties()), text._linespacing),
            *(text.get_rotation(), text.get_rotation_mode(), text.get_ha(), text.get_va(), text._get_multialignment()),
        )
        if properties not in boxes:
            boxes[properties] = measure(text, renderer)
        return boxes[properties]

    return measure_once
