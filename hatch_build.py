"""Writes the links of the package's metadata: a package index shows README without the files that its links lead to.

The environment variable NUMBANET_HOME names the address of the public repository, such as https://host/owner/numbanet. If it is
set during a build, the metadata contain the project's links, and the links of README become absolute.
"""

import os
import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"""(\]\(|(?:src|href)=")(?!https?:|#)([^)#"]+)""")  # to a file of the repository
PICTURES = (".png", ".svg")


class LinksHook(MetadataHookInterface):
    """Adds the fields `readme` and `urls` to the metadata."""

    def update(self, metadata: dict) -> None:
        """Sets the fields in the dict of the metadata."""
        home = os.environ.get("NUMBANET_HOME", "").rstrip("/")
        text = (Path(self.root) / "README.md").read_text("utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute(text, home) if home else text}
        metadata["urls"] = links(home) if home else {}


def absolute(text: str, home: str) -> str:
    """Returns Markdown in which the links to files of the repository, and the pictures, are absolute."""

    def link(match: re.Match) -> str:
        return f"{match[1]}{home}/{'raw' if match[2].endswith(PICTURES) else 'blob'}/main/{match[2]}"

    return LINK.sub(link, text)


def links(home: str) -> dict[str, str]:
    """Returns the project's links by their titles."""
    return {
        "Documentation": f"{home}/tree/main/docs",
        "Source": home,
        "Issues": f"{home}/issues",
        "Changelog": f"{home}/blob/main/CHANGELOG.md",
    }


def get_metadata_hook() -> type[LinksHook]:
    """Returns the hook, as hatchling expects."""
    return LinksHook
