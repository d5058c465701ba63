"""The kinds of jobs: what may be asked of each, and what it does."""

import math
import statistics
import time

LONGEST_WAIT = 60
MOST_BINS = 1000
MOST_VALUES = 10_000


class Refused(Exception):
    """A request that cannot be done, in a sentence for whoever made it."""


def is_number(value):
    return type(value) is int or (type(value) is float and math.isfinite(value))


def expect(holds, key, found, expected):
    if not holds:
        shown = "nothing" if found is None else repr(found) if len(repr(found)) <= 60 else f"{repr(found)[:57]}..."
        raise Refused(f"{key}: found {shown}; expected {expected}")


def checked(request):
    """The kind and the parameters of a job as it was asked for, or `Refused`."""
    expect(isinstance(request, dict), "the request", request, "a JSON object with the key kind")
    kind = request.get("kind")
    expect(isinstance(kind, str) and kind in KINDS, "kind", kind, f"one of {', '.join(sorted(KINDS))}")
    parameters = {key: value for key, value in request.items() if key != "kind"}
    known, check, _ = KINDS[kind]
    for key in parameters:
        expect(key in known, "the request", key, f"no key but kind, {', '.join(known)} for a job of kind {kind}")
    check(parameters)
    return kind, parameters


def perform(kind, parameters, store):
    """Does a job. It may be done again by another worker, so it changes nothing but its result."""
    return KINDS[kind][2](parameters, store)


def check_source(parameters):
    column, values = parameters.get("column"), parameters.get("values")
    if (column is None) == (values is None):
        raise Refused("column and values: expected one of them: a column of the data, or numbers")
    if column is not None:
        expect(isinstance(column, str) and column, "column", column, "the name of a column")
    else:
        right = isinstance(values, list) and 0 < len(values) <= MOST_VALUES and all(map(is_number, values))
        expect(right, "values", values, f"a list of 1 to {MOST_VALUES} numbers")


def check_histogram(parameters):
    check_source(parameters)
    bins = parameters.get("bins", 10)
    expect(type(bins) is int and 1 <= bins <= MOST_BINS, "bins", bins, f"a whole number from 1 to {MOST_BINS}")


def check_wait(parameters):
    seconds = parameters.get("seconds")
    right = is_number(seconds) and 0 <= seconds <= LONGEST_WAIT
    expect(right, "seconds", seconds, f"a number from 0 to {LONGEST_WAIT}")


def numbers(parameters, store):
    if "values" in parameters:
        return parameters["values"]
    column = parameters["column"]
    found = [row[column] for row in store.rows() if is_number(row.get(column))]
    if not found:
        raise Refused(f"column: found {column!r}; expected a column that has a number in at least one row of the data")
    return found


def describe(parameters, store):
    values = numbers(parameters, store)
    return {
        "count": len(values),
        "minimum": min(values),
        "maximum": max(values),
        "mean": statistics.fmean(values),
        "median": statistics.median(values),
        "deviation": statistics.pstdev(values),
    }


def histogram(parameters, store):
    values = numbers(parameters, store)
    bins = parameters.get("bins", 10)
    low, high = min(values), max(values)
    width = (high - low) / bins
    counts = [0] * bins
    for value in values:
        # The highest value belongs to the last bin; where all are alike there is no width to divide by.
        counts[min(int((value - low) / width), bins - 1) if width else 0] += 1
    return {"edges": [low + width * i for i in range(bins)] + [high], "counts": counts}


def wait(parameters, _store):
    time.sleep(parameters["seconds"])
    return {"waited": parameters["seconds"]}


# Kind → the keys that it knows, the check of them, and the work.
KINDS = {
    "statistics": (("column", "values"), check_source, describe),
    "histogram": (("column", "values", "bins"), check_histogram, histogram),
    "wait": (("seconds",), check_wait, wait),
}
