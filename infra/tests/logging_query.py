"""Evaluates the part of Cloud Logging's query language that the filters of the sinks use.

    matches('resource.type="gce_instance" AND NOT severity=("INFO" OR "DEBUG")', entry)

What it knows, as Google documents it (cloud.google.com/logging/docs/view/logging-query-language):

- comparisons `path = value`, `!=`, `:` (contains; `path:*` means present), `=~` and `!~`
  (regular expressions, matched anywhere); a parenthesised `("a" OR "b")` as the value;
- `AND`, `OR`, `NOT` in capitals and `-` for `NOT`; two terms side by side are joined by AND;
  NOT binds closest, then OR, then AND, which is not what other languages do;
- `log_id("...")`, which compares the decoded last part of `logName`;
- comments from `--` to the end of the line;
- strings are compared without regard to case, regular expressions with;
- a path goes through every element of a list, and the comparison holds if it does for any;
- a comparison with a field that is not there fails, so that its NOT holds. The fields that every
  LogEntry has, such as `operation.last`, are there with their defaults instead.

Whatever else the language has is an error here, never silently false.
"""

import re
from urllib.parse import unquote

# Fields of LogEntry, which have default values if the entry omits them.
DEFAULTS = {
    ("logName",): "",
    ("insertId",): "",
    ("severity",): "DEFAULT",
    ("resource", "type"): "",
    ("operation", "id"): "",
    ("operation", "producer"): "",
    ("operation", "first"): False,
    ("operation", "last"): False,
}

# Valid first elements of a path.
ROOTS = {
    "logName", "insertId", "severity", "timestamp", "receiveTimestamp", "resource", "labels", "operation",
    "protoPayload", "jsonPayload", "textPayload", "httpRequest", "trace", "spanId", "sourceLocation",
}

TOKEN = re.compile(
    r"""
      (?P<space>   \s+ | --[^\n]* )
    | (?P<string>  "(?:[^"\\]|\\.)*" )
    | (?P<operator> =~ | !~ | != | = | : )
    | (?P<punctuation> [()*] | -(?=[A-Za-z(]) )
    | (?P<word>    [A-Za-z0-9_@.]+ )
    """,
    re.VERBOSE,
)


class QueryError(ValueError):
    """The filter is invalid, or not supported by this evaluator."""


def matches(query, entry):
    """Returns whether the query selects the entry."""
    return parse(query)(entry)


def parse(query):
    """Compiles the query to a function of an entry."""
    parser = Parser(tokens(query))
    predicate = parser.expression()
    if parser.peek() != ("end", ""):
        raise QueryError(f"unexpected {parser.peek()[1]!r}")
    return predicate


def tokens(query):
    found, position = [], 0
    while position < len(query):
        match = TOKEN.match(query, position)
        if match is None:
            raise QueryError(f"cannot read {query[position:position + 20]!r}")
        position = match.end()
        if match.lastgroup != "space":
            found.append((match.lastgroup, match.group()))
    return found + [("end", "")]


class Parser:
    def __init__(self, found):
        self.tokens = found
        self.position = 0

    def peek(self):
        return self.tokens[self.position]

    def take(self, *texts):
        """Returns the next token if it is one of these; a quoted string never matches."""
        kind, text = self.peek()
        if kind != "string" and text in texts:
            self.position += 1
            return text
        return None

    def expect(self, text):
        if not self.take(text):
            raise QueryError(f"expected {text!r}, found {self.peek()[1]!r}")

    def next(self, kind):
        if self.peek()[0] != kind:
            raise QueryError(f"expected a {kind}, found {self.peek()[1]!r}")
        self.position += 1
        return self.tokens[self.position - 1][1]

    # conjunction of disjunctions of negations: AND has the lowest precedence

    def expression(self, term=None):
        terms = [self.disjunction(term)]
        while self.take("AND") or (self.peek()[0] != "end" and self.peek()[1] != ")"):
            terms.append(self.disjunction(term))
        return lambda entry: all(term(entry) for term in terms)

    def disjunction(self, term):
        terms = [self.negation(term)]
        while self.take("OR"):
            terms.append(self.negation(term))
        return lambda entry: any(term(entry) for term in terms)

    def negation(self, term):
        if self.take("NOT", "-"):
            inner = self.negation(term)
            return lambda entry: not inner(entry)
        if self.take("("):
            inner = self.expression(term)
            self.expect(")")
            return inner
        return (term or self.comparison)()

    def comparison(self):
        name = self.next("word")
        if name in ("AND", "OR", "NOT"):
            raise QueryError(f"{name} without a term")
        if self.take("("):
            if name != "log_id":
                raise QueryError(f"unknown function {name}")
            wanted = unquoted(self.next("string"))
            self.expect(")")
            return lambda entry: log_id(entry).casefold() == wanted.casefold()

        path = self.path(name)
        operator = self.next("operator")
        if self.peek() == ("punctuation", "("):
            self.expect("(")
            inner = self.expression(lambda: self.test(path, operator))
            self.expect(")")
            return inner
        return self.test(path, operator)

    def path(self, name):
        # `labels."some.key"` is tokenized as a word that ends with a dot and a string.
        segments = [segment for segment in name.split(".") if segment]
        while self.tokens[self.position - 1][1].endswith(".") and self.peek()[0] == "string":
            segments.append(unquoted(self.next("string")))
            if self.peek()[0] == "word" and self.peek()[1].startswith("."):
                segments += [segment for segment in self.next("word").split(".") if segment]
        if segments[0] not in ROOTS:
            raise QueryError(f"no log entry has a field {segments[0]!r}")
        return tuple(segments)

    def test(self, path, operator):
        if operator == ":" and self.take("*"):
            return lambda entry: any(True for _ in values(entry, path))
        kind, text = self.peek()
        if kind not in ("string", "word"):
            raise QueryError(f"expected a value, found {text!r}")
        self.position += 1
        wanted = unquoted(text) if kind == "string" else text
        holds = comparer(operator, wanted)
        return lambda entry: any(holds(text_of(value)) for value in values(entry, path))


def comparer(operator, wanted):
    if operator in ("=~", "!~"):
        pattern = re.compile(wanted)
        return (lambda text: pattern.search(text) is not None) if operator == "=~" else (lambda text: pattern.search(text) is None)
    wanted = wanted.casefold()
    return {
        "=": lambda text: text.casefold() == wanted,
        "!=": lambda text: text.casefold() != wanted,
        ":": lambda text: wanted in text.casefold(),
    }[operator]


def values(entry, path):
    """Returns all values at the path, including those in every element of lists."""
    found = list(walk(entry, path))
    if not found and path in DEFAULTS:
        return [DEFAULTS[path]]
    return found


def walk(value, path):
    if isinstance(value, list):
        for element in value:
            yield from walk(element, path)
    elif not path:
        if value is not None:
            yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from walk(value[path[0]], path[1:])


def text_of(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    # A message never equals a text.
    return "" if isinstance(value, dict) else str(value)


def unquoted(text):
    # A backslash before other characters than itself or a quotation mark is part of the regular expression.
    return re.sub(r'\\(["\\])', r"\1", text[1:-1])


def log_id(entry):
    return unquote(entry.get("logName", "").rpartition("/logs/")[2])
