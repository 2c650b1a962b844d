"""The demo: real flights through the real server."""
