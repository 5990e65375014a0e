"""The ladder, a benchmark that compares numbanet with other libraries on the CPU.

In one run, the libraries are timed in turn.
"""
