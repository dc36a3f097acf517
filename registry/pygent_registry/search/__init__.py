"""Tool search: three tools in the place of hundreds, for hosts whose model would drown in definitions.

`ranking` and `tools` are pure: how well a tool fits a query, and what the three tools take and say. `index`
keeps the vectors of definitions. `front` puts them together for the gateway.
"""
