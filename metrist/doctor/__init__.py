"""`metrist doctor`: looks at everything an operator gets wrong, and says what to do about it.

Each check is one function of a `Patient` that gives findings; `checks.py` has the table of them.
"""
