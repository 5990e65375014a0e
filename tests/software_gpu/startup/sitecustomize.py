"""Changes numba-cuda in every Python process of a command on the software GPU.

Python imports a module named sitecustomize when it starts. `python -m tests.software_gpu` adds the folder of this module to
PYTHONPATH.
"""

from tests.software_gpu import linking

linking.install()
