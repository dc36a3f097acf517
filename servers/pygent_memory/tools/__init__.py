"""The tools, by the profile that offers them."""
