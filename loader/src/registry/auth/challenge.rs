//! What a 401 asks for: challenges, by the grammar of HTTP (RFC 9110, sections 5.6 and 11.3 to
//! 11.6), and a little beyond it, since registries and the proxies before them are written by
//! people.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// Characters of a header that a message shows at most.
const SHOWN: usize = 200;

/// One way to log in that is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// All that the headers of an answer offer, in their order. What cannot be read is left out.
    pub(super) fn all(headers: &HeaderMap) -> Vec<Self> {
        let values = headers.get_all(WWW_AUTHENTICATE).iter();
        values.flat_map(|value| read(&String::from_utf8_lossy(value.as_bytes()))).collect()
    }

    /// Whether it is of this scheme.
    pub(super) fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let named = |(have, _): &&(String, String)| have.eq_ignore_ascii_case(name);
        self.parameters.iter().find(named).map(|(_, value)| value.as_str())
    }
}

/// The challenges as they were written, for a message; empty where there is none.
pub(super) fn as_written(headers: &HeaderMap) -> String {
    let values = headers.get_all(WWW_AUTHENTICATE).iter();
    let texts: Vec<_> =
        values.map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned()).collect();
    let text = texts.join(", ");
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The challenges of one header.
fn read(text: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([',', ' ', '\t']);
        let (word, after) = split(rest, is_of_token);
        if word.is_empty() {
            if rest.is_empty() {
                return challenges;
            }
            // Something that is in no grammar: what follows the next comma may be.
            rest = rest.split_once(',').map_or("", |(_, after)| after);
            continue;
        }
        let behind = after.trim_start_matches([' ', '\t']);
        if let Some(text) = behind.strip_prefix('=') {
            // The end of a string that does not end cannot be guessed.
            let Some((value, after)) = value(text.trim_start_matches([' ', '\t'])) else {
                return challenges;
            };
            if let Some(challenge) = challenges.last_mut() {
                challenge.parameters.push((word.to_owned(), value));
            }
            rest = after;
            continue;
        }
        challenges.push(Challenge { scheme: word.to_owned(), parameters: Vec::new() });
        rest = if after.len() > behind.len() { behind_token68(behind) } else { after };
    }
}

/// Skips the one blob that some schemes have in the place of parameters.
fn behind_token68(text: &str) -> &str {
    let (blob, after) =
        split(text, |byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte));
    let after = after.trim_start_matches('=');
    let ends = after.trim_start_matches([' ', '\t']);
    if !blob.is_empty() && (ends.is_empty() || ends.starts_with(',')) { after } else { text }
}

/// The value of a parameter and what follows it. Without quotes it ends at a blank or comma, so
/// that an address needs none, although it would by the grammar.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[place + 1..])),
            '\\' => value.push(characters.next()?.1),
            character => value.push(character),
        }
    }
    None
}

fn is_of_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A text after its beginning of such characters, which are all ASCII.
fn split(text: &str, is_of_it: impl Fn(u8) -> bool) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !is_of_it(byte)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    /// `scheme name=value name=value; scheme …`
    fn shown(headers: &[&str]) -> String {
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(WWW_AUTHENTICATE, HeaderValue::from_bytes(header.as_bytes()).unwrap());
        }
        let challenges = Challenge::all(&map);
        let shown = challenges.iter().map(|challenge| {
            let parameters = challenge.parameters.iter();
            let parameters = parameters.map(|(name, value)| format!(" {name}={value}"));
            challenge.scheme.clone() + &parameters.collect::<String>()
        });
        shown.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn challenges_by_the_grammar() {
        for (header, want) in [
            (r#"Bearer realm="https://h/t",service="s""#, "Bearer realm=https://h/t service=s"),
            (r#"bearer realm = "https://h/t" , service=s"#, "bearer realm=https://h/t service=s"),
            ("Bearer service=s,realm=https://h/t", "Bearer service=s realm=https://h/t"),
            (r#"Bearer realm="a\"b\\c\d""#, r#"Bearer realm=a"b\cd"#),
            ("Basic", "Basic"),
            (" , ,Basic , ", "Basic"),
            (r#"Basic realm="x", Bearer realm="y""#, "Basic realm=x; Bearer realm=y"),
            (r#"Negotiate, Basic realm="x""#, "Negotiate; Basic realm=x"),
            (r#"Negotiate YII+/a==, Basic realm="x""#, "Negotiate; Basic realm=x"),
            (r#"NTLM abc , Bearer realm="y""#, "NTLM; Bearer realm=y"),
            // The example of RFC 9110, section 11.6.1.
            (
                r#"Basic realm="simple", Newauth realm="apps", type=1, title="Login to \"apps\"""#,
                r#"Basic realm=simple; Newauth realm=apps type=1 title=Login to "apps""#,
            ),
            (
                r#"Bearer scope="repository:a:pull,push",realm="y""#,
                "Bearer scope=repository:a:pull,push realm=y",
            ),
            // What is in no grammar costs itself alone.
            (r#"Basic Bearer realm="y""#, "Basic; Bearer realm=y"),
            (r#"(?), Basic realm="x""#, "Basic realm=x"),
            (r#"Basic realm="x", Bearer realm="unended"#, "Basic realm=x; Bearer"),
            (r#"realm="x""#, ""),
            ("Bearer realm=\"ü\"", "Bearer realm=ü"),
            ("Bearer realm=\"\\", "Bearer"),
            ("Bearer realm=", "Bearer"),
            ("", ""),
        ] {
            assert_eq!(shown(&[header]), want, "{header}");
        }
        assert_eq!(shown(&["Basic realm=x", "Bearer realm=y"]), "Basic realm=x; Bearer realm=y");
        assert_eq!(shown(&["Bearer", "realm=y"]), "Bearer");
    }

    #[test]
    fn parameters_by_name() {
        let challenges = read(r#"BEARER Realm="y", other=z, realm=second"#);
        assert!(challenges[0].is("bearer"));
        assert_eq!(challenges[0].parameter("realm"), Some("y"));
        assert_eq!(challenges[0].parameter("service"), None);
    }

    #[test]
    fn a_long_header_is_cut_for_a_message() {
        let mut map = HeaderMap::new();
        map.append(WWW_AUTHENTICATE, HeaderValue::from_bytes("ü".repeat(300).as_bytes()).unwrap());
        assert_eq!(as_written(&map).chars().count(), SHOWN + 1);
        assert_eq!(as_written(&HeaderMap::new()), "");
    }
}
