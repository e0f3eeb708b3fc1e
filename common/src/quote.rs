//! Texts from outside in the messages of errors: as much of them as explains.

/// Of a text from outside that is no name, a message quotes so many characters.
const MAX_QUOTE: usize = 100;

/// A parser's own words, which can quote what it has read, are kept up to so many characters.
const MAX_EXPLANATION: usize = 500;

/// The beginning of a text that is quoted in a message.
pub(crate) fn quoted(text: &str) -> String {
    shortened(text, MAX_QUOTE)
}

/// What a parser says of its error.
pub(crate) fn explained(error: &serde_json::Error) -> String {
    shortened(&error.to_string(), MAX_EXPLANATION)
}

fn shortened(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_cut_between_characters() {
        assert_eq!(quoted("short"), "short");
        let exact = "é".repeat(MAX_QUOTE);
        assert_eq!(quoted(&exact), exact);
        assert_eq!(quoted(&format!("{exact}é")), format!("{exact}…"));
        let long = serde_json::from_str::<u32>(&format!("\"{}\"", "x".repeat(10_000)));
        assert_eq!(explained(&long.unwrap_err()).chars().count(), MAX_EXPLANATION + 1);
    }
}
