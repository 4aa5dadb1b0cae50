"""The quantile of what the benchmarks of the whole have measured."""


def quantile(values, q):
    """Of the values in order, the one at the share `q` of the way; NaN of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else float("nan")
