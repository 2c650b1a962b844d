"""The lake: the journal, and the Delta tables that it is moved into."""
