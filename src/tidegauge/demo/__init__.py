"""The demo: real flights through the real server. Needs ``pip install 'tidegauge[demo]'``."""
