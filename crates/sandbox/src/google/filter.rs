//! The language in which lists are filtered and assets are searched.
//!
//! As much of it as is used: comparisons of a field with `=`, `!=`, `:`, `<`, `<=`, `>` and `>=`, joined by `AND` (or
//! nothing) and `OR`, which binds more tightly, negated with `-` or `NOT`, in parentheses.

/// What is selected.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Filter {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    /// A field in a relation to a value.
    Is(String, Operator, String),
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Operator {
    /// `=`
    Equals,
    /// `:`
    Has,
    /// `<`
    Below,
    /// `<=`
    UpTo,
    /// `>`
    Above,
    /// `>=`
    From,
}

/// What can be filtered.
pub(super) trait Filtered {
    /// Whether there is such a field. A comparison with another one makes no sense.
    fn is_field(name: &str) -> bool;

    /// Whether a field can be compared with a value.
    fn is_value(_field: &str, _operator: Operator, _value: &str) -> bool {
        true
    }

    /// Whether a field is in a relation to a value.
    fn is(&self, field: &str, operator: Operator, value: &str) -> bool;
}

impl Filter {
    /// The filter that leaves nothing out.
    pub(super) fn everything() -> Self {
        Self::All(Vec::new())
    }

    /// Understands a filter; none if it makes no sense or is more than is known here.
    pub(super) fn parse<T: Filtered>(text: &str) -> Option<Self> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens, is_field: T::is_field, is_value: T::is_value };
        let filter = parser.all()?;
        parser.tokens.is_empty().then_some(filter)
    }

    pub(super) fn matches<T: Filtered>(&self, item: &T) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.matches(item)),
            Self::Any(filters) => filters.iter().any(|filter| filter.matches(item)),
            Self::Not(filter) => !filter.matches(item),
            Self::Is(field, operator, value) => item.is(field, *operator, value),
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Token {
    Open,
    Close,
    Not,
    And,
    Or,
    Compare(Comparison),
    Word(String),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Comparison {
    Is(Operator),
    /// `!=`
    Differs,
}

/// Longer signs before those that they begin with.
const SIGNS: [(&str, Comparison); 7] = [
    ("!=", Comparison::Differs),
    ("<=", Comparison::Is(Operator::UpTo)),
    (">=", Comparison::Is(Operator::From)),
    ("<", Comparison::Is(Operator::Below)),
    (">", Comparison::Is(Operator::Above)),
    ("=", Comparison::Is(Operator::Equals)),
    (":", Comparison::Is(Operator::Has)),
];

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '-' if !matches!(tokens.last(), Some(Token::Compare(_))) => (Token::Not, 1),
            '"' => {
                let end = rest[1..].find('"')?;
                (Token::Word(rest[1..=end].to_owned()), end + 2)
            }
            '=' | ':' | '!' | '<' | '>' => {
                let (sign, comparison) = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign))?;
                (Token::Compare(*comparison), sign.len())
            }
            _ => {
                let is_end = |c: char| c.is_whitespace() || "()=:!<>\"".contains(c);
                let word = &rest[..rest.find(is_end).unwrap_or(rest.len())];
                let token = match word {
                    "AND" => Token::And,
                    "OR" => Token::Or,
                    "NOT" => Token::Not,
                    "eq" => Token::Compare(Comparison::Is(Operator::Equals)),
                    "ne" => Token::Compare(Comparison::Differs),
                    _ => Token::Word(word.to_owned()),
                };
                (token, word.len())
            }
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Some(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    is_field: fn(&str) -> bool,
    is_value: fn(&str, Operator, &str) -> bool,
}

impl Parser<'_> {
    fn all(&mut self) -> Option<Filter> {
        let mut filters = vec![self.any()?];
        loop {
            self.accept(&Token::And);
            if matches!(self.tokens.first(), None | Some(Token::Close)) {
                break;
            }
            filters.push(self.any()?);
        }
        Some(one_or(filters, Filter::All))
    }

    fn any(&mut self) -> Option<Filter> {
        let mut filters = vec![self.term()?];
        while self.accept(&Token::Or) {
            filters.push(self.term()?);
        }
        Some(one_or(filters, Filter::Any))
    }

    fn term(&mut self) -> Option<Filter> {
        if self.accept(&Token::Not) {
            return Some(Filter::Not(Box::new(self.term()?)));
        }
        if self.accept(&Token::Open) {
            let filter = self.all()?;
            return self.accept(&Token::Close).then_some(filter);
        }
        let [Token::Word(field), Token::Compare(comparison), Token::Word(value), rest @ ..] = self.tokens
        else {
            return None;
        };
        self.tokens = rest;
        let field = (self.is_field)(field).then(|| field.clone())?;
        let value = value.clone();
        let operator = match *comparison {
            Comparison::Is(operator) => operator,
            Comparison::Differs => Operator::Equals,
        };
        if !(self.is_value)(&field, operator, &value) {
            return None;
        }
        Some(match *comparison {
            Comparison::Is(operator) => Filter::Is(field, operator, value),
            Comparison::Differs => Filter::Not(Box::new(Filter::Is(field, Operator::Equals, value))),
        })
    }

    fn accept(&mut self, token: &Token) -> bool {
        match self.tokens.split_first() {
            Some((first, rest)) if first == token => {
                self.tokens = rest;
                true
            }
            _ => false,
        }
    }
}

fn one_or(mut filters: Vec<Filter>, join: impl FnOnce(Vec<Filter>) -> Filter) -> Filter {
    match filters.pop() {
        Some(only) if filters.is_empty() => only,
        last => {
            filters.extend(last);
            join(filters)
        }
    }
}
