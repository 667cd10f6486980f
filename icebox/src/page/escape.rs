//! Text in HTML.

use std::fmt::{self, Display, Formatter, Write};

/// Shows anything as text of a page, in an element or in an attribute with double quotes.
pub(super) struct Escaped<T>(pub(super) T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(Escaper(formatter), "{}", self.0)
    }
}

struct Escaper<'a, 'b>(&'a mut Formatter<'b>);

impl Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|letter| match letter {
            '&' => self.0.write_str("&amp;"),
            '<' => self.0.write_str("&lt;"),
            '>' => self.0.write_str("&gt;"),
            '"' => self.0.write_str("&quot;"),
            '\'' => self.0.write_str("&#39;"),
            // Shown, and out of the way of events, which end at line breaks. So are those that turn text around.
            letter if letter.is_control() || ('\u{200e}'..='\u{200f}').contains(&letter) => self.hide(letter),
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => self.hide(letter),
            letter => self.0.write_char(letter),
        })
    }
}

impl Escaper<'_, '_> {
    fn hide(&mut self, letter: char) -> fmt::Result {
        write!(self.0, "{}", letter.escape_unicode())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_text() {
        for (text, expected) in [
            ("plain é 漢", "plain é 漢"),
            ("<script>alert('x')</script>", "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"),
            ("\" onload=x", "&quot; onload=x"),
            ("&lt;", "&amp;lt;"),
            ("a\r\nb\0", "a\\u{d}\\u{a}b\\u{0}"),
            ("\u{202e}x\u{2028}\u{200f}\u{2069}\u{85}", "\\u{202e}x\\u{2028}\\u{200f}\\u{2069}\\u{85}"),
        ] {
            assert_eq!(Escaped(text).to_string(), expected);
        }
        assert_eq!(Escaped(format_args!("{}{}", "<", 1)).to_string(), "&lt;1");
    }
}
