"""The HTTP routes, one file a subject; what they do stands in the modules beside this folder."""
