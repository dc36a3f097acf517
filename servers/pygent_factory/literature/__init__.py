"""Published papers, looked up where the world keeps its lists of them: arXiv, Semantic Scholar, OpenAlex and
Crossref. (Google Scholar has no API.) Nothing is sent to any of them but what an agent asks, and only for
agents whose tools name `literature__search` or `literature__paper`.
"""
