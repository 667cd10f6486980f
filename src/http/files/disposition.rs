//! `Content-Disposition`: written for downloads, read from multipart heads.

use std::fmt::Write as _;

use percent_encoding::percent_decode_str;

/// Writes `inline; filename=…` so that any client gets the exact name back (RFC 2231, RFC 5987).
pub(super) fn inline(name: &str) -> String {
    let mut value = String::from("inline; filename");
    if name.bytes().any(|byte| !(b' '..=b'~').contains(&byte) && byte != b'\t') {
        value.push_str("*=utf-8''");
        for byte in name.bytes() {
            match byte {
                b'!'..=b'~' if !matches!(byte, b'*' | b'\'' | b'%') && !is_special(byte) => {
                    value.push(char::from(byte))
                }
                _ => {
                    let _ = write!(value, "%{byte:02X}");
                }
            }
        }
    } else if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && !is_special(byte)) {
        value.push('=');
        value.push_str(name);
    } else {
        value.push_str("=\"");
        for letter in name.chars() {
            if matches!(letter, '"' | '\\') {
                value.push('\\');
            }
            value.push(letter);
        }
        value.push('"');
    }
    value
}

/// Holds what the head of a multipart part says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    /// `name`, the form field.
    pub(super) name: Option<String>,
    /// `filename`, folders and all.
    pub(super) filename: Option<String>,
}

/// Reads the `Content-Disposition` of a part; `filename*` wins over `filename`.
pub(super) fn parse(value: &[u8]) -> Part {
    let text = String::from_utf8_lossy(value);
    let mut part = Part::default();
    let Some((kind, mut rest)) = text.split_once(';') else {
        return part;
    };
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return part;
    }
    let mut extended = None;
    while let Some((key, tail)) = rest.split_once('=') {
        let key = key.trim_matches([' ', '\t', ';']).to_ascii_lowercase();
        let (value, tail) = value_of(tail.trim_start());
        rest = tail;
        match key.as_str() {
            "name" => part.name = Some(value),
            "filename" => part.filename = Some(value),
            "filename*" => extended = decode_extended(&value),
            _ => {}
        }
    }
    if extended.is_some() {
        part.filename = extended;
    }
    part
}

/// Splits a parameter's value from what follows it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[at + 1..]),
            // Only these two are escapes: old browsers send Windows paths with bare backslashes, and Go keeps them.
            '\\' if letters.peek().is_some_and(|(_, next)| matches!(next, '"' | '\\')) => {
                value.extend(letters.next().map(|(_, next)| next));
            }
            _ => value.push(letter),
        }
    }
    (value, "")
}

/// Reads `utf-8'en'na%C3%AFve`.
fn decode_extended(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let (charset, _language, text) = (parts.next()?, parts.next()?, parts.next()?);
    if !charset.eq_ignore_ascii_case("utf-8") && !charset.eq_ignore_ascii_case("us-ascii") {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(|text| text.into_owned())
}

/// Says whether a byte needs quotes in a parameter (tspecials, RFC 2045).
fn is_special(byte: u8) -> bool {
    matches!(
        byte,
        b'(' | b')' | b'<' | b'>' | b'@' | b',' | b';' | b':' | b'\\' | b'"' | b'/' | b'[' | b']' | b'?' | b'='
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_go_writes_them() {
        for (name, want) in [
            ("a.txt", "inline; filename=a.txt"),
            (".bashrc", "inline; filename=.bashrc"),
            ("a b", "inline; filename=\"a b\""),
            ("a\"b\\c", "inline; filename=\"a\\\"b\\\\c\""),
            ("naïve 1*.txt", "inline; filename*=utf-8''na%C3%AFve%201%2A.txt"),
            ("line\nbreak", "inline; filename*=utf-8''line%0Abreak"),
        ] {
            assert_eq!(inline(name), want);
        }
    }

    #[test]
    fn every_name_round_trips() {
        for name in
            ["a", "a b", "\"q\"", "back\\slash", "\\\"", "日本語", ".hidden", "semi;colon", "a=b", "%41", "it's*"]
        {
            let value = inline(name).replace("inline", "form-data");
            assert_eq!(parse(value.as_bytes()).filename.as_deref(), Some(name), "{value}");
        }
    }

    #[test]
    fn part_heads_are_read_with_folders_and_raw_utf8() {
        let part = parse("form-data; name=\"file\"; filename=\"/tmp/dir/na\u{ef}ve.txt\"".as_bytes());
        assert_eq!(part.name.as_deref(), Some("file"));
        assert_eq!(part.filename.as_deref(), Some("/tmp/dir/na\u{ef}ve.txt"));
        let both = parse(b"form-data; name=file; filename=plain; filename*=UTF-8''ex%20t");
        assert_eq!(both.filename.as_deref(), Some("ex t"));
        assert_eq!(parse(b"form-data; name=\"a\\\\b\\c\"").name.as_deref(), Some("a\\b\\c"));
        assert_eq!(parse(b"attachment; name=file"), Part::default());
        assert_eq!(parse(b"form-data"), Part::default());
    }
}
