"""Makes numba-cuda compile for the software GPU, in every Python process that `python -m tests.software_gpu` starts.

Python imports a module named sitecustomize when it starts. `python -m tests.software_gpu` adds the folder of this module to
PYTHONPATH.
"""

from tests.software_gpu import linking

linking.install()
