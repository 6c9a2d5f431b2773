# SPDX-License-Identifier: MIT
"""How far two lists of tensors are apart."""


def difference(some, others):
    """The largest difference of two elements; infinite where one is NaN, or shapes differ."""
    worst = 0.0
    for a, b in zip(some, others, strict=True):
        if a.shape != b.shape:
            return float("inf")
        if a.numel():
            worst = max(worst, (a - b).abs().nan_to_num(nan=float("inf")).max().item())
    return worst


def check_close(what, some, others, tolerance):
    found = difference(some, others)
    print(f"{what}: {found:.1e}")
    assert found <= tolerance, f"{what}: differ by {found:.3e}, more than {tolerance:.0e}"


def check_apart(what, some, others, at_least):
    """A negative control: what is known to be wrong must show."""
    found = difference(some, others)
    print(f"{what}: {found:.1e}, as it must")
    assert found >= at_least, f"{what}: differ by {found:.3e} alone, less than {at_least:.0e}: the test could not fail"
