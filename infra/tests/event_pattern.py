"""Evaluates the part of EventBridge's event patterns that the rules use.

    matches({"source": ["aws.ec2"], "detail": {"state": ["running"]}}, event)

Supported, as AWS documents it (docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern.html):

- every field of the pattern must be in the event; further fields of the event are ignored;
- the values of a field are a list, of which one must be equal, including case and type;
- an object is compared field by field;
- if the event has a list, one of its elements must match.

Operators such as {"prefix": "a"} are an error here, never silently false.
"""


class PatternError(ValueError):
    """The pattern is invalid, or not supported by this evaluator."""


def matches(pattern, event):
    """Returns whether the pattern selects the event."""
    if not isinstance(pattern, dict) or not pattern:
        raise PatternError(f"a pattern must be an object with fields: {pattern!r}")
    # Each field is compared, so that a mistake in a later field is found in any case.
    return all([matches_field(wanted, name, event) for name, wanted in pattern.items()])


def matches_field(wanted, name, event):
    found = event.get(name, ...) if isinstance(event, dict) else ...
    if isinstance(wanted, dict):
        return matches(wanted, found)
    if not isinstance(wanted, list) or not wanted:
        raise PatternError(f"{name}: values must be a list")
    for value in wanted:
        if isinstance(value, (dict, list)):
            raise PatternError(f"{name}: operators are not supported: {value!r}")
    candidates = found if isinstance(found, list) else [found]
    return any(same(value, candidate) for value in wanted for candidate in candidates)


def same(value, candidate):
    """Compares like JSON: true is not 1."""
    return isinstance(value, bool) == isinstance(candidate, bool) and value == candidate
