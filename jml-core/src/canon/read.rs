//! Strict reader of the narrow JSON form, and the writer of its canonical bytes.

use std::collections::BTreeSet;

use super::{CanonError, MAX_DEPTH, MAX_INTEGER, key_order};

/// A value of the narrow JSON form.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "JSON without null and floats has exactly these forms")]
pub enum Node {
    /// `true` or `false`.
    Bool(bool),
    /// An integer of at most 2^53 - 1 in size.
    Int(i64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Node>),
    /// An object; members in the order they were read or sorted.
    Object(Vec<(String, Node)>),
}

impl Node {
    /// The member of an object, if this is an object that has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|(key, _)| key == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// What lies at the end of a path of members.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, name| node.get(name))
    }

    /// The text at the end of a path of members.
    #[must_use]
    pub fn text_at(&self, path: &[&str]) -> Option<&str> {
        self.at(path)?.as_str()
    }

    /// The number at the end of a path of members, if it is not negative.
    #[must_use]
    pub fn count_at(&self, path: &[&str]) -> Option<u64> {
        u64::try_from(self.at(path)?.as_int()?).ok()
    }

    /// The text, if this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, if this is an integer.
    #[must_use]
    pub const fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// Appends the canonical bytes; objects are sorted on the way.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Self::Text(text) => write_text(text, out),
            Self::List(items) => {
                out.push(b'[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                let mut sorted: Vec<&(String, Self)> = members.iter().collect();
                if !members.is_sorted_by(|a, b| key_order(&a.0, &b.0).is_lt()) {
                    sorted.sort_by(|a, b| key_order(&a.0, &b.0));
                }
                out.push(b'{');
                for (i, (key, value)) in sorted.into_iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    write_text(key, out);
                    out.push(b':');
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }
}

/// RFC 8785 section 3.2.2.2: the two-character escapes, `\u00xx` for other control characters, and
/// every other character as it is.
fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    if text.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\') {
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\r' => out.extend_from_slice(b"\\r"),
            c if c < ' ' => out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

/// Parses bytes of the narrow JSON form. White space, `null`, fractions, exponents, big integers and
/// duplicate members are errors. Use [`super::check`] to demand canonical order and escapes as well.
///
/// # Errors
/// [`CanonError`] with the offset of the first offending byte.
pub fn parse(bytes: &[u8]) -> Result<Node, CanonError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|e| CanonError::Syntax { at: e.valid_up_to(), what: "not UTF-8" })?;
    let mut reader = Reader { text, at: 0 };
    let node = reader.value(0)?;
    if reader.at != text.len() {
        return Err(reader.error("data after the end of the value"));
    }
    Ok(node)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    const fn error(&self, what: &'static str) -> CanonError {
        CanonError::Syntax { at: self.at, what }
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<u8> {
        self.rest().bytes().next()
    }

    fn eat(&mut self, token: &str) -> bool {
        let hit = self.rest().starts_with(token);
        if hit {
            self.at += token.len();
        }
        hit
    }

    fn value(&mut self, depth: usize) -> Result<Node, CanonError> {
        if depth > MAX_DEPTH {
            return Err(CanonError::Depth);
        }
        match self.peek() {
            Some(b'"') => Ok(Node::Text(self.string()?)),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') if self.eat("true") => Ok(Node::Bool(true)),
            Some(b'f') if self.eat("false") => Ok(Node::Bool(false)),
            Some(b'n') if self.eat("null") => Err(CanonError::Null),
            _ => Err(self.error("a value was expected")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Node, CanonError> {
        self.at += 1;
        let mut members = Vec::new();
        let mut seen = BTreeSet::new();
        if self.eat("}") {
            return Ok(Node::Object(members));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.error("a member name was expected"));
            }
            let key = self.string()?;
            if !seen.insert(key.clone()) {
                return Err(CanonError::DuplicateKey(key));
            }
            if !self.eat(":") {
                return Err(self.error("`:` was expected"));
            }
            let value = self.value(depth + 1)?;
            members.push((key, value));
            if self.eat("}") {
                return Ok(Node::Object(members));
            }
            if !self.eat(",") {
                return Err(self.error("`,` or `}` was expected"));
            }
        }
    }

    fn list(&mut self, depth: usize) -> Result<Node, CanonError> {
        self.at += 1;
        let mut items = Vec::new();
        if self.eat("]") {
            return Ok(Node::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.eat("]") {
                return Ok(Node::List(items));
            }
            if !self.eat(",") {
                return Err(self.error("`,` or `]` was expected"));
            }
        }
    }

    fn number(&mut self) -> Result<Node, CanonError> {
        let rest = self.rest();
        let end = rest
            .bytes()
            .position(|b| !matches!(b, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'))
            .unwrap_or(rest.len());
        let token = rest.get(..end).unwrap_or("");
        if token.contains(['.', 'e', 'E']) {
            return Err(CanonError::Float);
        }
        let digits = token.strip_prefix('-').unwrap_or(token);
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if !plain || (digits.len() > 1 && digits.starts_with('0')) || token == "-0" {
            return Err(self.error("not a plain integer"));
        }
        let number: i64 = token.parse().map_err(|_| CanonError::IntegerRange)?;
        if !(-MAX_INTEGER..=MAX_INTEGER).contains(&number) {
            return Err(CanonError::IntegerRange);
        }
        self.at += end;
        Ok(Node::Int(number))
    }

    fn string(&mut self) -> Result<String, CanonError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(c) = self.rest().chars().next() else {
                return Err(self.error("the string does not end"));
            };
            match c {
                '"' => {
                    self.at += 1;
                    return Ok(out);
                }
                '\\' => {
                    let escape = self.rest().chars().nth(1);
                    let plain = match escape {
                        Some('"') => '"',
                        Some('\\') => '\\',
                        Some('b') => '\u{8}',
                        Some('t') => '\t',
                        Some('n') => '\n',
                        Some('f') => '\u{c}',
                        Some('r') => '\r',
                        Some('u') => {
                            let hex = self.text.get(self.at + 2..self.at + 6);
                            let code = hex.and_then(|h| u32::from_str_radix(h, 16).ok());
                            match code.and_then(char::from_u32) {
                                // Anything else has a shorter form, so it is not canonical.
                                Some(c) if c < ' ' => {
                                    self.at += 4;
                                    c
                                }
                                _ => return Err(self.error("this escape is not canonical")),
                            }
                        }
                        _ => return Err(self.error("this escape is not canonical")),
                    };
                    self.at += 2;
                    out.push(plain);
                }
                c if c < ' ' => return Err(self.error("a bare control character")),
                c => {
                    self.at += c.len_utf8();
                    out.push(c);
                }
            }
        }
    }
}
