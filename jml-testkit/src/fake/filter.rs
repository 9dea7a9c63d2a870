//! Filters in the forms that directories know: SCIM (RFC 7644 section 3.4.2.2), which Okta uses too, and
//! the part of `OData` that Microsoft Graph takes for users and groups. One tree for both.

use serde_json::Value;

/// A condition on a JSON object.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Filter {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Present(String),
    Compare(String, Op, Value),
    /// `emails[type eq "work"]`.
    Within(String, Box<Self>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Eq,
    Ne,
    Co,
    Sw,
    Ew,
    Gt,
    Ge,
    Lt,
    Le,
}

impl Op {
    fn named(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "eq" => Self::Eq,
            "ne" => Self::Ne,
            "co" => Self::Co,
            "sw" => Self::Sw,
            "ew" => Self::Ew,
            "gt" => Self::Gt,
            "ge" => Self::Ge,
            "lt" => Self::Lt,
            "le" => Self::Le,
            _ => return None,
        })
    }

    fn holds(self, left: &Value, right: &Value) -> bool {
        use std::cmp::Ordering as O;
        let order = match (left, right) {
            (Value::String(l), Value::String(r)) => {
                let (l, r) = (l.to_lowercase(), r.to_lowercase());
                match self {
                    Self::Co => return l.contains(&r),
                    Self::Sw => return l.starts_with(&r),
                    Self::Ew => return l.ends_with(&r),
                    _ => Some(l.cmp(&r)),
                }
            }
            (Value::Number(l), Value::Number(r)) => {
                l.as_f64().zip(r.as_f64()).and_then(|(l, r)| l.partial_cmp(&r))
            }
            // Some servers keep `active` as a text.
            (Value::Bool(l), Value::String(r)) => {
                (l.to_string() == r.to_lowercase()).then_some(O::Equal)
            }
            (l, r) => (l == r).then_some(O::Equal),
        };
        match self {
            Self::Eq => order == Some(O::Equal),
            Self::Ne => order != Some(O::Equal),
            Self::Gt => order == Some(O::Greater),
            Self::Ge => matches!(order, Some(O::Greater | O::Equal)),
            Self::Lt => order == Some(O::Less),
            Self::Le => matches!(order, Some(O::Less | O::Equal)),
            Self::Co | Self::Sw | Self::Ew => false,
        }
    }
}

impl Filter {
    /// Reads a filter; `None` when it is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let tokens = tokens(text)?;
        let mut reader = Reader { tokens: &tokens, at: 0 };
        let filter = reader.any()?;
        (reader.at == tokens.len()).then_some(filter)
    }

    pub(super) fn holds(&self, object: &Value) -> bool {
        match self {
            Self::All(all) => all.iter().all(|it| it.holds(object)),
            Self::Any(any) => any.iter().any(|it| it.holds(object)),
            Self::Not(it) => !it.holds(object),
            Self::Present(path) => at(object, path).iter().any(|it| !empty(it)),
            Self::Compare(path, op, value) => {
                let found = at(object, path);
                if found.is_empty() {
                    return match op {
                        Op::Eq => value.is_null(),
                        Op::Ne => !value.is_null(),
                        _ => false,
                    };
                }
                found.iter().any(|it| op.holds(it, value))
            }
            Self::Within(path, inner) => elements(object, path).iter().any(|it| inner.holds(it)),
        }
    }
}

fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(all) => all.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// A member by name, whatever its case.
pub(super) fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let object = object.as_object()?;
    object.get(name).or_else(|| {
        object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    })
}

/// The values at a path; of objects without further path, `value` is meant.
fn at<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let of = |it: &'a Value| if it.is_object() { member(it, "value").unwrap_or(it) } else { it };
    elements(object, path).into_iter().map(of).collect()
}

/// What lies at a path. Lists are looked into. A schema's URN may stand before the path.
fn elements<'a>(object: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut found = vec![object];
    let mut rest = path;
    if path.to_ascii_lowercase().starts_with("urn:")
        && let Some((urn, tail)) = path.rsplit_once(':')
    {
        match member(object, urn) {
            Some(inner) => {
                found = vec![inner];
                rest = tail;
            }
            // The core schema's members lie at the top.
            None => rest = tail,
        }
    }
    for part in rest.split(['.', '/']) {
        found = found
            .into_iter()
            .flat_map(|it| match it {
                Value::Array(all) => all.iter().collect(),
                one => vec![one],
            })
            .filter_map(|it| member(it, part))
            .collect();
    }
    found
        .into_iter()
        .flat_map(|it| match it {
            Value::Array(all) => all.iter().collect(),
            one => vec![one],
        })
        .collect()
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(first) = rest.next() {
        match first {
            ' ' => {}
            '(' | ')' | '[' | ']' | ',' => tokens.push(Token::Sign(first)),
            '"' | '\'' => {
                let mut value = String::new();
                loop {
                    match rest.next()? {
                        '\\' if first == '"' => value.push(rest.next()?),
                        // A quote in OData is written twice.
                        '\'' if first == '\'' && rest.peek() == Some(&'\'') => {
                            rest.next();
                            value.push('\'');
                        }
                        it if it == first => break,
                        it => value.push(it),
                    }
                }
                tokens.push(Token::Text(value));
            }
            first => {
                let mut word = String::from(first);
                while let Some(next) = rest.peek().copied() {
                    if matches!(next, ' ' | '(' | ')' | '[' | ']' | ',' | '"' | '\'') {
                        break;
                    }
                    word.push(next);
                    rest.next();
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Some(tokens)
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned()?;
        self.at += 1;
        Some(token)
    }

    fn sign(&mut self, sign: char) -> Option<()> {
        (self.next()? == Token::Sign(sign)).then_some(())
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.tokens.get(self.at), Some(Token::Word(it)) if it.eq_ignore_ascii_case(word))
    }

    fn any(&mut self) -> Option<Filter> {
        let mut all = vec![self.all()?];
        while self.is_word("or") {
            self.at += 1;
            all.push(self.all()?);
        }
        if all.len() == 1 { all.pop() } else { Some(Filter::Any(all)) }
    }

    fn all(&mut self) -> Option<Filter> {
        let mut all = vec![self.one()?];
        while self.is_word("and") {
            self.at += 1;
            all.push(self.one()?);
        }
        if all.len() == 1 { all.pop() } else { Some(Filter::All(all)) }
    }

    fn one(&mut self) -> Option<Filter> {
        let word = match self.next()? {
            Token::Sign('(') => {
                let inner = self.any()?;
                self.sign(')')?;
                return Some(inner);
            }
            Token::Word(word) => word,
            _ => return None,
        };
        if word.eq_ignore_ascii_case("not") {
            return Some(Filter::Not(Box::new(self.one()?)));
        }
        match self.next()? {
            Token::Sign('[') => {
                let inner = self.any()?;
                self.sign(']')?;
                Some(Filter::Within(word, Box::new(inner)))
            }
            // startswith(path,'text')
            Token::Sign('(') => {
                let op = match word.to_ascii_lowercase().as_str() {
                    "startswith" => Op::Sw,
                    "endswith" => Op::Ew,
                    "contains" => Op::Co,
                    _ => return None,
                };
                let Token::Word(path) = self.next()? else { return None };
                self.sign(',')?;
                let Token::Text(text) = self.next()? else { return None };
                self.sign(')')?;
                Some(Filter::Compare(path, op, Value::String(text)))
            }
            Token::Word(op) if op.eq_ignore_ascii_case("pr") => Some(Filter::Present(word)),
            Token::Word(op) => {
                let op = Op::named(&op)?;
                let value = match self.next()? {
                    Token::Text(text) => Value::String(text),
                    Token::Word(word) => match word.as_str() {
                        "true" => Value::Bool(true),
                        "false" => Value::Bool(false),
                        "null" => Value::Null,
                        // OData writes times and ids without quotes.
                        other => serde_json::from_str(other)
                            .unwrap_or_else(|_| Value::String(other.to_owned())),
                    },
                    Token::Sign(_) => return None,
                };
                Some(Filter::Compare(word, op, value))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(filter: &str) -> bool {
        let user = json!({
            "userName": "Ada", "active": true, "level": 3,
            "emails": [{ "type": "work", "value": "ada@a.test" }, { "type": "home", "value": "x@y.test" }],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": { "employeeNumber": "E1" },
            "members": [{ "value": "g1" }], "mail": null,
        });
        Filter::parse(filter).unwrap_or_else(|| panic!("`{filter}`")).holds(&user)
    }

    #[test]
    fn filters_of_the_rfc_and_of_graph() {
        for yes in [
            "userName eq \"ada\"",
            "USERNAME eq \"ada\" and active eq true",
            "userName sw \"A\" or nothing pr",
            "not (userName eq \"bob\")",
            "emails[type eq \"work\" and value co \"a.test\"]",
            "emails.value eq \"x@y.test\"",
            "emails eq \"x@y.test\"",
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber eq \"E1\"",
            "urn:ietf:params:scim:schemas:core:2.0:User:userName eq \"ada\"",
            "members eq \"g1\"",
            "level gt 2",
            "startswith(userName,'ad')",
            "userName eq 'ada' and mail eq null",
        ] {
            assert!(holds(yes), "{yes}");
        }
        for no in [
            "userName eq \"bob\"",
            "nothing pr",
            "nothing eq \"x\"",
            "level lt 3",
            "mail pr",
            "emails[type eq \"work\" and value eq \"x@y.test\"]",
        ] {
            assert!(!holds(no), "{no}");
        }
        for none in ["", "userName", "userName eq", "userName xx \"a\"", "(a eq \"b\"", "a eq \"b"]
        {
            assert!(Filter::parse(none).is_none(), "{none}");
        }
        assert_eq!(
            Filter::parse("a eq 'it''s'"),
            Some(Filter::Compare("a".into(), Op::Eq, "it's".into()))
        );
    }
}
