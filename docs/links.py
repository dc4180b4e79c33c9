"""Links of the guides: what they lead to in the repository, and where that is on the site.

A page that only the site has is made of a file of the repository. Guides link to that file, which
is there for whoever reads them in the repository; on the site they lead to the page.
"""

from __future__ import annotations

import re

from oracles.explanation import ALL

PAGES = {
    **{f"../oracles/optimizers/{name.lower()}.py": f"rules/{name}.md" for name in ALL},
    "../oracles/optimizers/sparse_adam.py": "rules/SparseAdam.md",
    "../oracles/optimizers": "rules/index.md",
    "../oracles/schedules": "schedules/index.md",
    "../oracles/harness/deviations/deviations.toml": "deviations.md",
}
"""By file of the repository, the page of the site that is made of it."""

LINK = re.compile(r"(?<=\]\()\.\./oracles/[^)#]+")
"""The target of a link that leads into the package."""


def to_site(markdown: str) -> str:
    """A guide whose links lead to pages of the site.

    Raises:
        KeyError: the site has nothing of a file that is linked.

    >>> to_site("[SGD](../oracles/optimizers/sgd.py), [all](../oracles/optimizers)")
    '[SGD](rules/SGD.md), [all](rules/index.md)'
    """
    return LINK.sub(lambda link: PAGES[link[0]], markdown)
