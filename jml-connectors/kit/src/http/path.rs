//! Paths from segments.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in a segment: unreserved characters (RFC 3986 section 2.3), and a few that are
/// allowed in a segment and that vendors want unencoded (`@`, `:`, `$`).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'@')
    .remove(b':')
    .remove(b'$');

/// A path of segments, each encoded. An id with `/`, `?`, `#`, `%` or `..` in it stays one segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(String);

impl Path {
    /// An empty path.
    #[must_use]
    pub const fn new() -> Self {
        Self(String::new())
    }

    /// The same with one more segment.
    #[must_use]
    pub fn segment(mut self, segment: impl fmt::Display) -> Self {
        let text = segment.to_string();
        self.0.push('/');
        match text.as_str() {
            // A dot segment would be taken away by whoever normalises the path.
            "." => self.0.push_str("%2E"),
            ".." => self.0.push_str("%2E%2E"),
            text => self.0.extend(utf8_percent_encode(text, SEGMENT)),
        }
        self
    }

    /// The path, beginning with `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A [`Path`](crate::http::Path) from segments: `path!["groups", id, "members"]`.
#[macro_export]
macro_rules! path {
    ($($segment:expr),* $(,)?) => {
        $crate::http::Path::new()$(.segment(&$segment))*
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_segment_stays_a_segment() {
        let id = "a/../b?c#d%20 é";
        assert_eq!(
            path!["users", id, "groups"].as_str(),
            "/users/a%2F..%2Fb%3Fc%23d%2520%20%C3%A9/groups"
        );
        assert_eq!(path!["users", ".."].as_str(), "/users/%2E%2E");
        assert_eq!(
            path!["users", "ada@example.com", "$ref"].as_str(),
            "/users/ada@example.com/$ref"
        );
    }
}
