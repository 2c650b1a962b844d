"""The steps that bring an older catalog to the tables of today."""
