"""Reads HTML templates, styles and scripts from the folder assets, fills the templates, and writes HTML pages."""

from importlib.resources import files

from numbanet.files import Location, name_of, refuse_other_ending, replacing, suffix_of

ENDINGS = (".html", ".htm")
REMEDY = "let the name end in .html"


def refuse_other_names(path: Location) -> None:
    """Raises ValueError if the name of the file to write has an ending other than .html or .htm."""
    refuse_other_ending(path, ENDINGS, REMEDY)
    if suffix_of(path) not in ("", *ENDINGS):
        raise ValueError(f"cannot write {name_of(path)!r}: the file is an HTML page; {REMEDY}")


def write(path: Location, page: str) -> None:
    """Writes a page; raises ValueError as in `refuse_other_names`, and OSError if the file cannot be written."""
    refuse_other_names(path)
    with replacing(path) as file:
        file.write(page.encode())


def filled(template: str, parts: dict[str, str]) -> str:
    """Returns the template with each comment `<!-- name -->` replaced by `parts[name]`."""
    page = asset(template)
    for name, part in parts.items():
        page = page.replace(f"<!-- {name} -->", part)
    return page


def asset(name: str) -> str:
    """Returns the text of a file in the folder assets."""
    return (files("numbanet.pages") / "assets" / name).read_text("utf-8")
