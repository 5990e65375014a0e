"""Tests of the package's metadata: the README's links on a package index, and the files in a source distribution."""

import importlib.util
import re
import sys
import tomllib
import types

import pytest

from tests.helpers.pages import ROOT

HOME = "https://host/owner/numbanet"


@pytest.fixture
def hook(monkeypatch):
    """Returns the module hatch_build.py, imported without the package hatchling, which only builds need."""
    interface = types.SimpleNamespace(MetadataHookInterface=object)
    monkeypatch.setitem(sys.modules, "hatchling.metadata.plugin.interface", interface)
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_of_readme_are_absolute_and_pictures_are_raw_files(hook):
    text = "[![A](docs/a.svg)](docs/a.svg) [b](docs/b.md#c) [d](#d) [e](https://e.org/f)"
    assert hook.absolute(text, HOME) == (
        f"[![A]({HOME}/raw/main/docs/a.svg)]({HOME}/raw/main/docs/a.svg) [b]({HOME}/blob/main/docs/b.md#c) [d](#d) "
        "[e](https://e.org/f)"
    )
    readme = hook.absolute((ROOT / "README.md").read_text(), HOME)
    assert not re.findall(r"""(?:\]\(|(?:src|href)=")(?!https?:|#)""", readme)
    assert f'src="{HOME}/raw/main/docs/sheet.svg"' in readme


def test_the_metadata_of_a_build_have_links_if_the_repository_is_named(hook, monkeypatch):
    built = hook.LinksHook()
    built.root = ROOT
    for home, urls in (("", {}), (HOME + "/", hook.links(HOME))):
        metadata = {}
        monkeypatch.setenv("NUMBANET_HOME", home)
        built.update(metadata)
        assert metadata["urls"] == urls and metadata["readme"]["content-type"] == "text/markdown"
    assert all(url.startswith(HOME) for url in hook.links(HOME).values())


def test_a_source_distribution_contains_every_file_that_the_documentation_includes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contained = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    included = [name for page in (ROOT / "docs").glob("*.md") for name in re.findall(r"{include} \.\./(\S+)", page.read_text())]
    assert len(included) >= 3 and set(included) <= set(contained)


def test_the_citation_has_the_version_of_the_package():
    version = re.search(r'__version__ = "(.*)"', (ROOT / "numbanet" / "__init__.py").read_text())[1]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
