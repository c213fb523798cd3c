"""Opens the tiny cache of shard_round_trip_test.cpp with h5py and compares every kind of thing in it
with the raw float64 files that the test wrote beside it. Exit code 0: equal."""
import sys

import h5py
import numpy

folder = sys.argv[1]
parts = [h5py.File(f"{folder}/shard_{i:05}.h5", "r") for i in range(2)]
L, D, ROWS = 3, 16, 256


def joined(name):
    return numpy.concatenate([part[name][()].astype(numpy.float64) for part in parts])


def expected(name, shape):
    return numpy.fromfile(f"{folder}/{name}", dtype=numpy.float64).reshape(shape)


first = parts[0]
assert first.attrs["format"] == "clt-activations", first.attrs["format"]
assert first.attrs["version"] == 1 and first.attrs["complete"] == 1
assert first.attrs["dtype"] == "bfloat16" and first.attrs["bos_policy"] == "prepend_1_drop_first"
assert first.attrs["n_layers"] == L and first.attrs["d_in"] == D and first.attrs["d_out"] == D
assert [part.attrs["row_offset"] for part in parts] == [0, parts[0].attrs["rows"]]
assert first["layer_0/inputs"].dtype == numpy.float32, first["layer_0/inputs"].dtype

x = joined("layer_1/inputs")
assert numpy.array_equal(x, expected("x1.f64", (ROWS, D)))
assert (x < 0).any() and (x > 0).any()
assert numpy.array_equal(joined("layer_2/targets"), expected("y2.f64", (ROWS, D)))
assert numpy.array_equal(joined("doc"), expected("doc.f64", (ROWS,)))
assert first["tokens"].dtype == numpy.uint32 and first["pos"].dtype == numpy.uint32
assert first["doc"].dtype == numpy.uint64

rows = first["layer_1/inputs"][()].astype(numpy.float64)
norm = first["norm/inputs"]
assert norm["count"][()] == len(rows)
assert numpy.allclose(norm["mean"][1], rows.mean(0), rtol=0, atol=1e-12)
assert numpy.allclose(norm["std"][1], rows.std(0), rtol=1e-12, atol=1e-12)
assert numpy.isclose(norm["mean_norm"][1], numpy.linalg.norm(rows, axis=1).mean(), rtol=1e-12)
assert first["layer_0/targets_xxh3"].shape == (-(-len(rows) // 16),)
