"""What every test may use: see `pygent_shared.testing`."""

pytest_plugins = ["pygent_shared.testing"]
