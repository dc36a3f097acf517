"""One MCP endpoint over the suite's servers and every other MCP server a config file names."""
