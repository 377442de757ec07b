"""What others do with the same weights and texts: one place for each tool that we measure beside.

Each is used as its own documentation shows it, with its defaults, unless it says otherwise.
"""
