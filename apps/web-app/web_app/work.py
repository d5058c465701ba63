"""The kinds of jobs: their parameters and their work."""

import json
import math
import statistics
import time

LONGEST_WAIT = 60
MOST_BINS = 1000
MOST_VALUES = 10_000


class Refused(Exception):
    """An invalid request. The message is a sentence for the user."""


def is_number(value):
    return type(value) is int or (type(value) is float and math.isfinite(value))


def expect(holds, key, found, expected):
    if not holds:
        raise Refused(f"{key}: found {shown(found)}; expected {expected}")


def shown(value):
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def checked(request):
    """The kind and the parameters of a requested job. Raises `Refused`."""
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
    """Does a job. Another worker may do it again, so it changes nothing."""
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
    found = [value for value in store.column(column) if is_number(value)]
    if not found:
        raise Refused(f"column: found {column!r}; expected a column that has a number in at least one row of the data")
    return found


def of_numbers(compute):
    """The work of a job on numbers. Its result is JSON, without infinity and NaN."""

    def work(parameters, store):
        values = numbers(parameters, store)
        try:
            result = compute(values, parameters)
            json.dumps(result, allow_nan=False)
        except (OverflowError, ValueError):
            raise Refused("the numbers are too large: what they add up to exceeds 1.8e308") from None
        return result

    return work


def describe(values, _parameters):
    return {
        "count": len(values),
        "minimum": min(values),
        "maximum": max(values),
        "mean": statistics.fmean(values),
        "median": statistics.median(values),
        "deviation": statistics.pstdev(values),
    }


def histogram(values, parameters):
    bins = parameters.get("bins", 10)
    low, high = min(values), max(values)
    width = (high - low) / bins
    counts = [0] * bins
    for value in values:
        # The highest value belongs to the last bin. Equal values have no width to divide by.
        counts[min(int((value - low) / width), bins - 1) if width else 0] += 1
    return {"edges": [low + width * i for i in range(bins)] + [high], "counts": counts}


def wait(parameters, _store):
    time.sleep(parameters["seconds"])
    return {"waited": parameters["seconds"]}


# Kind → the keys that it knows, the check of them, and the work.
KINDS = {
    "statistics": (("column", "values"), check_source, of_numbers(describe)),
    "histogram": (("column", "values", "bins"), check_histogram, of_numbers(histogram)),
    "wait": (("seconds",), check_wait, wait),
}
