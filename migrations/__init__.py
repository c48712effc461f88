"""The database's tables as a line of numbered steps, each in plain SQL in both directions.

Files in ``versions`` are named ``NNNN_what.py`` and their revision is ``NNNN``: the newest step can be told from the
names alone, so that starting the program with a current database never loads the migration tool.
"""
