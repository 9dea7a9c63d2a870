//! Bytes to text, and texts for people.

/// Decodes UTF-8, with or without a byte order mark.
pub(crate) fn decode(bytes: &[u8]) -> Result<&str, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let before = bytes.get(..at).unwrap_or_default();
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        format!("it is not UTF-8: line {line}, byte {at}")
    })
}

/// A cell as it can be shown: escaped, and cut after 40 characters.
pub(crate) fn shown(cell: &str) -> String {
    let mut out: String = cell.chars().take(40).flat_map(char::escape_debug).collect();
    if cell.chars().count() > 40 {
        out.push_str("...");
    }
    out
}
