"""What MkDocs does not do by itself: pages from elsewhere in the tree, links that also hold there, reference pages.

In the tree every link is relative to its file, so that it works in a clone and on a forge. On the site, README.md is
the first page, and a link to what is no page leads to the file in the repository.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "training/README.md": "training.md",
    "ivif_core/models/MODEL_CARD.md": "model_card.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""File in the tree: page of the site. Files of docs/ keep their names."""
LINK = re.compile(r"(\]\()(?![a-z]+:|#|/)([^)#\s]+)")


def _rooms() -> list[str]:
    """The packages of ivif_core, and its modules beside them, by dotted name."""
    core = ROOT / "ivif_core"
    packages = [path.parent.name for path in core.glob("*/__init__.py")]
    return sorted(packages + [path.stem for path in core.glob("*.py") if not path.stem.startswith("_")])


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Append the reference to the navigation: one page for each part of ivif_core."""
    config.nav.append({"Reference": [{room: f"reference/{room}.md"} for room in _rooms()]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    for room in _rooms():
        text = f"# ivif_core.{room}\n\n::: ivif_core.{room}\n"
        files.append(File.generated(config, f"reference/{room}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the tree into links between pages."""
    uri = page.file.src_uri
    source = next((file for file, name in PAGES.items() if name == uri), f"docs/{uri}")

    def on_site(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[2]))
        if not (ROOT / target).exists():
            return link[0]  # MkDocs itself says that it is broken
        there = PAGES.get(target, target.removeprefix("docs/") if target.startswith("docs/") else None)
        if there is None:
            return f"{link[1]}{config.repo_url.rstrip('/')}/blob/main/{target}"
        return link[1] + posixpath.relpath(there, posixpath.dirname(uri) or ".")

    return LINK.sub(on_site, markdown)
