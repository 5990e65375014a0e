"""Makes a matrix view of a part of a flat array, in compiled code, in less time than slicing and reshaping take."""

from numba.core import cgutils, types

from numbanet._compile import intrinsic


@intrinsic
def matrix(typingctx, flat, start, rows, columns):
    """Returns flat[start : start + rows * columns] as a view of shape (rows, columns).

    The function neither checks the indices nor counts references to `flat`. The array `flat` must exist as long as the view is
    used.
    """
    result = types.Array(flat.dtype, 2, "C")

    def code(context, builder, signature, arguments):
        from numba.np import arrayobj  # only for compilations, because the import takes as long as a short training

        source = arrayobj.make_array(signature.args[0])(context, builder, arguments[0])
        start, rows, columns = arguments[1:]
        view = arrayobj.make_array(result)(context, builder)
        itemsize = context.get_constant(types.intp, flat.dtype.bitwidth // 8)
        arrayobj.populate_array(
            view,
            data=builder.gep(source.data, [start]),
            shape=cgutils.pack_array(builder, [rows, columns]),
            strides=cgutils.pack_array(builder, [builder.mul(columns, itemsize), itemsize]),
            itemsize=itemsize,
            meminfo=None,
        )
        return view._getvalue()

    return result(flat, types.intp, types.intp, types.intp), code
