"""Small programs that write what the repository keeps: pages, pinned versions."""
