//! YAML and TOML as one tree of values with positions.

use super::{Diagnostic, Pos};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub(super) kind: Kind,
    pub(super) at: Pos,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Float,
    Text(String),
    List(Vec<Tree>),
    Map(Vec<Member>),
}

/// A member of a map.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) at: Pos,
    pub(super) value: Tree,
}

impl Tree {
    /// What it is, for people.
    pub(super) const fn name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "true or false",
            Kind::Int(_) => "a whole number",
            Kind::Float => "a number with a fraction",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// The position of the value at a path, or of the deepest part of the path that is there. The last
    /// name of a path may be a text in a list or a value, not only a key.
    pub(super) fn locate(&self, path: &[String]) -> Pos {
        let mut at = self;
        let mut pos = self.at;
        for name in path {
            let next = match &at.kind {
                Kind::Map(members) => members.iter().find(|m| &m.key == name).map(|m| {
                    pos = m.at;
                    &m.value
                }),
                Kind::List(items) => name.parse::<usize>().ok().and_then(|i| items.get(i)),
                _ => None,
            };
            match next {
                Some(next) => {
                    if !matches!(at.kind, Kind::Map(_)) || matches!(next.kind, Kind::Text(_)) {
                        pos = next.at;
                    }
                    at = next;
                }
                // One stage may be written without a list of stages.
                None if matches!(name.as_str(), "stages" | "0") => {}
                None => break,
            }
        }
        pos
    }
}

#[cfg(feature = "yaml")]
pub(super) fn yaml(text: &str) -> Result<Tree, Diagnostic> {
    yaml::parse(text)
}

#[cfg(feature = "toml")]
pub(super) fn toml(text: &str) -> Result<Tree, Diagnostic> {
    toml_tree::parse(text)
}

#[cfg(feature = "yaml")]
mod yaml {
    use std::fmt;

    use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
    use serde_saphyr::{Location, Spanned};

    use super::{Diagnostic, Kind, Member, Pos, Tree};

    pub(super) fn parse(text: &str) -> Result<Tree, Diagnostic> {
        // `NO` is a country and `Y` a name: only true and false are booleans (YAML 1.2).
        let options = serde_saphyr::options! { strict_booleans: true };
        serde_saphyr::from_str_with_options::<Tree>(text, options).map_err(|error| {
            let at = error.location().map_or(Pos { line: 1, column: 1 }, |at| pos(&at));
            let message = error.without_snippet().to_string();
            let first = message.lines().next().unwrap_or("not YAML").to_owned();
            // The library's words are for programmers; a doubled key is the one that people meet.
            if let Some(rest) = first.strip_prefix("duplicate mapping key: ") {
                let key = rest.split(',').next().unwrap_or(rest);
                let what = format!("`{key}` is defined twice");
                return Diagnostic::new("JML-P004", at, what, "keep one of the definitions");
            }
            let first = first.split(" at line ").next().unwrap_or(&first).to_owned();
            let remedy = "check indentation, quotes and doubled keys";
            Diagnostic::new("JML-P001", at, first, remedy)
        })
    }

    fn pos(at: &Location) -> Pos {
        let small = |n: u64| usize::try_from(n).unwrap_or(1);
        Pos { line: small(at.line()), column: small(at.column()) }
    }

    impl<'de> Deserialize<'de> for Tree {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let spanned = Spanned::<Kind>::deserialize(deserializer)?;
            Ok(Self { at: pos(&spanned.referenced), kind: spanned.value })
        }
    }

    impl<'de> Deserialize<'de> for Kind {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(KindVisitor)
        }
    }

    struct KindVisitor;

    impl<'de> Visitor<'de> for KindVisitor {
        type Value = Kind;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a value")
        }
        fn visit_bool<E>(self, v: bool) -> Result<Kind, E> {
            Ok(Kind::Bool(v))
        }
        fn visit_i64<E>(self, v: i64) -> Result<Kind, E> {
            Ok(Kind::Int(v))
        }
        fn visit_u64<E>(self, v: u64) -> Result<Kind, E> {
            Ok(i64::try_from(v).map_or_else(|_| Kind::Float, Kind::Int))
        }
        fn visit_f64<E>(self, _: f64) -> Result<Kind, E> {
            Ok(Kind::Float)
        }
        fn visit_str<E>(self, v: &str) -> Result<Kind, E> {
            Ok(Kind::Text(v.to_owned()))
        }
        fn visit_unit<E>(self) -> Result<Kind, E> {
            Ok(Kind::Null)
        }
        fn visit_none<E>(self) -> Result<Kind, E> {
            Ok(Kind::Null)
        }
        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
            Kind::deserialize(deserializer)
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Kind, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = list.next_element()? {
                items.push(item);
            }
            Ok(Kind::List(items))
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
            let mut members = Vec::new();
            while let Some(key) = map.next_key::<Spanned<String>>()? {
                let (at, key) = (pos(&key.referenced), key.value);
                members.push(Member { key, at, value: map.next_value()? });
            }
            Ok(Kind::Map(members))
        }
    }
}

#[cfg(feature = "toml")]
mod toml_tree {
    use toml::Spanned;
    use toml::de::{DeTable, DeValue};

    use super::{Diagnostic, Kind, Member, Pos, Tree};

    pub(super) fn parse(text: &str) -> Result<Tree, Diagnostic> {
        let table = DeTable::parse(text).map_err(|error| {
            let at = pos(text, error.span().map_or(0, |span| span.start));
            Diagnostic::new(
                "JML-P001",
                at,
                error.message(),
                "check quotes, commas and doubled keys",
            )
        })?;
        let at = Pos { line: 1, column: 1 };
        Ok(Tree { at, kind: map(text, table.get_ref()) })
    }

    fn pos(text: &str, offset: usize) -> Pos {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        Pos { line, column: before.get(start..).map_or(0, |l| l.chars().count()) + 1 }
    }

    fn map(text: &str, table: &DeTable<'_>) -> Kind {
        let members = table.iter().map(|(key, value)| Member {
            key: key.get_ref().to_string(),
            at: pos(text, key.span().start),
            value: value_of(text, value),
        });
        Kind::Map(members.collect())
    }

    fn value_of(text: &str, value: &Spanned<DeValue<'_>>) -> Tree {
        let kind = match value.get_ref() {
            DeValue::String(s) => Kind::Text(s.to_string()),
            DeValue::Integer(i) => i64::from_str_radix(&i.as_str().replace('_', ""), i.radix())
                .map_or_else(|_| Kind::Float, Kind::Int),
            DeValue::Float(_) => Kind::Float,
            DeValue::Boolean(b) => Kind::Bool(*b),
            DeValue::Datetime(d) => Kind::Text(d.to_string()),
            DeValue::Array(list) => {
                Kind::List(list.iter().map(|item| value_of(text, item)).collect())
            }
            DeValue::Table(table) => map(text, table),
        };
        Tree { at: pos(text, value.span().start), kind }
    }
}
