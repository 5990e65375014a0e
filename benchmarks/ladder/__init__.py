"""The ladder, a benchmark that compares numbanet with other libraries on the CPU.

In one run, the ladder measures the times of the libraries in turn.
"""
