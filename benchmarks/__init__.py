"""Benchmarks of Tidegauge against the floor and its peers; see README.md beside this file."""
