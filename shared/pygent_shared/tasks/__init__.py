"""The tasks extension of MCP (SEP-2663): what takes long is answered with a task, to be asked about later."""
