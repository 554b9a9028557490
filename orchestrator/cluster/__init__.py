"""Ray under a sweep: where it runs, what its nodes hold, and how many trials run there at a time.

Nothing here knows of trials' results.
"""
