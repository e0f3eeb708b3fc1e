//! Words from outside, as they can be shown: whatever commands a terminal or reorders a line is
//! escaped, and what is longer than anybody reads is cut.

use std::borrow::Cow;
use std::fmt::Write;

use serde::Serialize;

use crate::terminal::quantity;

/// Whether a character does something else than to be seen: it commands a terminal (C0, DEL, C1),
/// begins a line, or makes the text around it run the other way (Unicode, UAX #9).
fn is_escaped(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'
                | '\u{2029}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

/// Appends a character, escaped where it has to be, in the way of JSON. All of these characters
/// have four hexadecimal digits.
fn push(text: &mut String, character: char) {
    match character {
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        other if is_escaped(other) => {
            let _ = write!(text, "\\u{:04x}", u32::from(other));
        }
        other => text.push(other),
    }
}

/// A text as it can be shown on a line of its own, in at most `max` characters and, where it was
/// cut, a note of how many are left out. Line feeds are escaped too, so that nobody else's words can
/// look like a line of ours.
#[must_use]
pub fn printable(text: &str, max: usize) -> Cow<'_, str> {
    // A text of so few bytes cannot have more characters.
    if text.len() <= max && !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    let mut length = 0;
    for (at, character) in text.char_indices() {
        let end = shown.len();
        push(&mut shown, character);
        length += shown[end..].chars().count();
        if length > max {
            shown.truncate(end);
            let more = text[at..].chars().count();
            let _ = write!(shown, "… ({} more)", quantity(more as u64, "character"));
            break;
        }
    }
    Cow::Owned(shown)
}

/// A value as JSON, indented, with a line feed at the end. Its texts are complete and exact, and it
/// can be shown all the same: what commands a terminal stands in it as `\u` and four digits.
///
/// # Errors
/// As for serialising.
pub fn json(value: &(impl Serialize + ?Sized)) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(value)?;
    // Outside of its texts JSON has no such character but the line feed, which no text has.
    let is_raw = |character| character != '\n' && is_escaped(character);
    if text.contains(is_raw) {
        let mut escaped = String::with_capacity(text.len());
        for character in text.chars() {
            match is_raw(character) {
                true => push(&mut escaped, character),
                false => escaped.push(character),
            }
        }
        text = escaped;
    }
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_commands_a_terminal_is_escaped() {
        for (text, want) in [
            ("plain, é, 漢, \\n", "plain, é, 漢, \\n"),
            ("\u{1b}[2Jred", "\\u001b[2Jred"),
            ("a\u{7f}\u{9b}31m\u{85}b", "a\\u007f\\u009b31m\\u0085b"),
            ("one\ntwo\r\tthree\0", "one\\ntwo\\r\\tthree\\u0000"),
            ("x\u{202e}y\u{2066}z\u{2029}\u{200f}", "x\\u202ey\\u2066z\\u2029\\u200f"),
        ] {
            assert_eq!(printable(text, 100), want);
        }
    }

    #[test]
    fn what_is_too_long_is_cut_with_a_mark() {
        assert_eq!(printable("éééé", 4), "éééé");
        assert_eq!(printable("ééééé", 4), "éééé… (1 character more)");
        assert_eq!(printable("ab\u{1b}\u{1b}", 9), "ab\\u001b… (1 character more)");
        let long = printable(&"\u{1b}".repeat(60_000), 2000).into_owned();
        assert!(long.ends_with("… (59,667 characters more)"), "{long}");
        assert_eq!(printable("", 0), "");
    }

    #[test]
    fn json_is_shown_and_exact() {
        let texts = ["\u{1b}\u{7f}\u{9b}\n\t\u{202e}\u{2028}\"\\", "plain"];
        let shown = json(&texts).unwrap();
        assert!(!shown.trim_end().contains(|c| c != '\n' && is_escaped(c)), "{shown}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&shown).unwrap(), texts);
        assert_eq!(shown.lines().count(), 4);
    }
}
