"""The API document and its page."""

from __future__ import annotations

import re


async def test_the_page_needs_nothing_from_elsewhere(edge) -> None:
    """Every script and style that /docs loads is served by the edge itself."""
    page = (await edge.client.get("/docs")).text
    links = re.findall(r'(?:src|href)="([^"]+)"', page)

    assert links
    for link in links:
        assert link.startswith("/"), link
        assert (await edge.client.get(link)).status_code == 200, link
