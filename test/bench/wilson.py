"""The interval of a share that was counted."""

import math


def wilson(hits, total, z=1.959964):
    """95 % (Wilson, 1927), as two shares."""
    if total == 0:
        return 0.0, 1.0
    share, square = hits / total, z * z
    middle = (share + square / (2 * total)) / (1 + square / total)
    half = z / (1 + square / total) * math.sqrt(
        share * (1 - share) / total + square / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)
