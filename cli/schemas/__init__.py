"""`sluice schemas …`: the contracts as code, from the first draft to the release and its end.

One module a command. Working out is left to `schemas`; here is what a person types and reads.
"""
