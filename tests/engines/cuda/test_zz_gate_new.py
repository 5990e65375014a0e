import numpy as np, pytest
from tests.engines.cuda.test_compile_gate import *
from numbanet.inputs import make_topology
for k in [k for k in dict(globals()) if k.startswith("test_")]: del globals()[k]
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("acts,loss", [(["softsign","hard_sigmoid","exponential"],"poisson"),(["mish","gelu_tanh","selu"],"log_cosh"),(["softplus","mish"],"huber(delta=2.5)"),(["exponential","tanh"],"quantile(q=0.9)"),(["relu","softsign"],"hinge")])
def test_new(acts,loss,dtype):
    top = make_topology((3,)+(4,)*len(acts), acts, loss, dtype, 0.01)
    for name in ("output_rows","train_resident"):
        kernel = binding_of(top)(fast_kernel(name, dtype))
        code = compile_gate.build(kernel, fast_signatures(DTYPES[dtype])[name], "sm_90a")
        print(name,acts,loss,dtype,code.registers, code.stack)
        assert (code.stack, code.spill_stores, code.spill_loads) == (0, 0, 0)
        if dtype=="float32": assert code.local_memory == code.float64 == []
        assert code.registers <= 255
