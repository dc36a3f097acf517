"""What a foreign server may show to a model: only what was approved, and only what a person would see too.

    text.py     characters nobody sees, and names that look like others. Pure.
    scan.py     words in a definition that talk to the model instead of describing. Pure.
    pins.py     what was approved: each definition, and how the server is started. Pure.
    store.py    the file that keeps the pins.
    trust.py    the four together, for a registry.

The one rule: a server is trusted on first use, and from then on nothing it says replaces what was approved.
"""
