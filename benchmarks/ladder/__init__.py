"""The ladder: compares numbanet with other libraries on the CPU. In one run, the libraries alternate."""
