"""Checks of a client suite: each is a function of its own, independent of the others, and every one is run whatever became of the rest.

The last line on stdout is a JSON object: how many checks passed, what failed and why, and the names of
all."""

import json
import sys
import traceback

import numpy as np

try:
    import ml_dtypes  # bfloat16 in numpy
except ImportError:  # clients that know no bfloat16
    ml_dtypes = None

_checks = []


def check(function):
    _checks.append(function)
    return function


def run(*arguments):
    failed = {}
    for function in _checks:
        try:
            function(*arguments)
        except BaseException:  # a check may fail in any way
            failed[function.__name__] = traceback.format_exc(limit=-6)
    names = [function.__name__ for function in _checks]
    print(json.dumps({"passed": len(_checks) - len(failed), "failed": failed, "names": names}), flush=True)
    sys.stdout.flush()
    return 1 if failed else 0


def equal(found, expected, what=""):
    assert found == expected, f"{what}: expected {expected!r}, got {found!r}"


def raises(kind, call, *texts):
    """The error that a call ends with; every text occurs in it."""
    try:
        call()
    except kind as error:
        for text in texts:
            assert text in str(error), f"expected {text!r} in {error}"
        return error
    raise AssertionError(f"expected {kind}, got an answer")


#: Datatype of the protocol -> a tensor [2, 3] with its extreme values.
def tensors():
    def integers(kind):
        info = np.iinfo(kind)
        return np.array([[info.min, info.max, 0], [1, 2, 3]], dtype=kind)

    values = {
        "BOOL": np.array([[True, False, True], [False, False, True]]),
        "FP16": np.array([[65504, -6e-8, 0.1], [np.inf, 2, -0.0]], dtype=np.float16),
        "FP32": np.array([[3.4e38, 1e-45, 0.1], [-np.inf, 2, -0.0]], dtype=np.float32),
        "FP64": np.array([[1.7e308, 5e-324, 0.1], [np.inf, 2, -0.0]], dtype=np.float64),
        "BYTES": np.array([[b"", b"a", "é".encode()], [b"\x01\x7f", b"x" * 300, b"end"]], dtype=np.object_),
    }
    if ml_dtypes is not None:
        values["BF16"] = np.array([[3.3e38, -1e-38, 0.1], [1.5, 2, -0.0]], dtype=ml_dtypes.bfloat16)
    for bits in (8, 16, 32, 64):
        values[f"INT{bits}"] = integers(np.dtype(f"int{bits}"))
        values[f"UINT{bits}"] = integers(np.dtype(f"uint{bits}"))
    return values


def same(found, expected, what=""):
    equal(found.shape, expected.shape, what)
    if expected.dtype == np.object_:
        equal(found.tolist(), expected.tolist(), what)
    else:
        equal(found.astype(expected.dtype).tobytes(), expected.tobytes(), what)
