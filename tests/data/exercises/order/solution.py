"""Tasks in an order in which they can be done."""


def ordered(needs: dict[str, list[str]]) -> list[str]:
    """All tasks, each after what it needs, else by the alphabet.

    Raises:
        ValueError: tasks need each other in a circle.
    """
    waiting = {task: set(before) for task, before in needs.items()}
    for before in needs.values():
        for task in before:
            waiting.setdefault(task, set())
    done: list[str] = []
    while waiting:
        ready = [task for task, before in waiting.items() if before <= set(done)]
        if not ready:
            raise ValueError(f"these need each other: {', '.join(sorted(waiting))}")
        first = min(ready)
        done.append(first)
        del waiting[first]
    return done
