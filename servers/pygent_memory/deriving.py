"""What was made of a memory, and what becomes of it when the memory is forgotten or comes back.

The one rule: what was made of one memory alone shares its fate. What has other sources too stays, and an
event notes that it lost one.
"""

from __future__ import annotations

from typing import cast

import apsw

_MADE_OF = """
    SELECT m.id, EXISTS (
        SELECT 1 FROM derived_from AS o JOIN memory AS s ON s.key = o.source
        WHERE o.memory = m.key AND s.forgotten_at IS NULL
    )
    FROM derived_from AS d JOIN memory AS m ON m.key = d.memory
    WHERE d.source = ? AND m.forgotten_at IS NULL
"""
_FOLLOWED = """
    SELECT m.id FROM memory AS s
    JOIN derived_from AS d ON d.source = s.key
    JOIN memory AS m ON m.key = d.memory
    WHERE s.space = ? AND s.id = ? AND m.forgotten_at IS NOT NULL AND s.id = (
        SELECT json_extract(before, '$.source') FROM event
        WHERE memory = m.id AND what = 'forgotten' ORDER BY event.id DESC LIMIT 1
    )
"""


def made_of(connection: apsw.Connection, key: int) -> dict[str, bool]:
    """The ids of what was made of a memory and is not forgotten; whether it has a source that is not."""
    rows = connection.execute(_MADE_OF, (key,)).fetchall()
    return {cast(str, id): bool(sourced) for id, sourced in rows}


def followers(connection: apsw.Connection, space: int | None, id: str) -> list[str]:
    """The ids of what was forgotten because a memory was."""
    return [cast(str, one) for (one,) in connection.execute(_FOLLOWED, (space, id)).fetchall()]
