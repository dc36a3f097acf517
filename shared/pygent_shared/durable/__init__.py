"""Work that outlasts its process: workflows whose steps are written down as they are done.

The engine is DBOS, embedded on SQLite or on PostgreSQL by URL; `engine` is the one place that knows it. What
a workflow may use while it runs is in `workflow`. Importing this package imports neither.

A workflow is a coroutine that does nothing by itself: all that touches the world, the clock or chance is done
in steps. After a crash it is run again from its start, and the steps that were done give what they gave then.
A step in flight at that moment is done again.
"""
