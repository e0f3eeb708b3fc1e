//! YAML as far as a configuration needs it: scalars stay the text that they are, since the number
//! `0123` may be a key.

use std::collections::{BTreeMap, HashMap};

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// Nothing, `~` or `null`.
    Nothing,
    /// A scalar.
    Text(String),
    /// A sequence, of which nothing is needed here.
    List,
    /// A mapping; of keys that are written twice the last counts.
    Map(Map),
}

/// A mapping.
pub(super) type Map = BTreeMap<String, Node>;

/// Values may stand in values, so deep.
const MAX_DEPTH: usize = 64;

/// No document has more values, those that aliases repeat included.
const MAX_NODES: usize = 100_000;

impl Node {
    /// Reads the first document.
    ///
    /// # Errors
    /// What is wrong, and where. No value is repeated.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let parser = Parser::new_from_str(text);
        let mut reader = Reader { parser, anchors: HashMap::new(), nodes: 0 };
        loop {
            match reader.event()? {
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
                Event::StreamEnd | Event::DocumentEnd => return Ok(Self::Nothing),
                event => return reader.node(event, 0),
            }
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Map(map) => 1 + map.values().map(Self::size).sum::<usize>(),
            _ => 1,
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn event(&mut self) -> Result<Event<'a>, String> {
        match self.parser.next_event() {
            None => Ok(Event::StreamEnd),
            Some(Ok((event, _))) => Ok(event),
            Some(Err(error)) => {
                let (line, column) = (error.marker().line(), error.marker().col() + 1);
                Err(format!("no YAML in line {line}, column {column}: {}", error.info()))
            }
        }
    }

    fn node(&mut self, event: Event<'a>, depth: usize) -> Result<Node, String> {
        if depth > MAX_DEPTH {
            return Err(format!("values in values, more than {MAX_DEPTH} deep"));
        }
        let (node, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_nothing = style == ScalarStyle::Plain
                    && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL");
                let text = || Node::Text(text.into_owned());
                (if is_nothing { Node::Nothing } else { text() }, anchor)
            }
            Event::SequenceStart(anchor, _) => {
                loop {
                    match self.event()? {
                        Event::SequenceEnd => break,
                        event => drop(self.node(event, depth + 1)?),
                    }
                }
                (Node::List, anchor)
            }
            Event::MappingStart(anchor, _) => (Node::Map(self.map(depth)?), anchor),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                (node.ok_or("an alias without its anchor")?, 0)
            }
            _ => return Err("it ends in the middle".to_owned()),
        };
        self.nodes += node.size();
        if self.nodes > MAX_NODES {
            return Err(format!("more than {MAX_NODES} values"));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn map(&mut self, depth: usize) -> Result<Map, String> {
        let mut map = Map::new();
        let mut merged = Map::new();
        loop {
            let key = match self.event()? {
                Event::MappingEnd => break,
                event => self.node(event, depth + 1)?,
            };
            let event = self.event()?;
            match (key, self.node(event, depth + 1)?) {
                (Node::Text(key), Node::Map(other)) if key == "<<" => merged.extend(other),
                (Node::Text(key), value) => drop(map.insert(key, value)),
                // No setting has another kind of key.
                _ => {}
            }
        }
        merged.extend(map);
        Ok(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map<const N: usize>(entries: [(&str, Node); N]) -> Node {
        Node::Map(entries.map(|(key, value)| (key.to_owned(), value)).into())
    }

    fn text(text: &str) -> Node {
        Node::Text(text.to_owned())
    }

    #[test]
    fn scalars_stay_text() {
        let read = Node::parse("a: 0123\nb: \"~\"\nc: ~\nd:\ne: 'x: y'\nf: [1, {g: 2}]\na: no");
        let want = map([
            ("a", text("no")),
            ("b", text("~")),
            ("c", Node::Nothing),
            ("d", Node::Nothing),
            ("e", text("x: y")),
            ("f", Node::List),
        ]);
        assert_eq!(read.unwrap(), want);
        assert_eq!(Node::parse("# nothing\n").unwrap(), Node::Nothing);
        assert_eq!(Node::parse("inmemory").unwrap(), text("inmemory"));
    }

    #[test]
    fn anchors_and_merges() {
        let read = Node::parse("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a");
        let a = map([("x", text("1")), ("y", text("2"))]);
        let b = map([("x", text("1")), ("y", text("3"))]);
        assert_eq!(read.unwrap(), map([("a", a.clone()), ("b", b), ("c", a)]));
    }

    #[test]
    fn bombs_and_broken_documents_end() {
        assert!(Node::parse(&"- ".repeat(100)).unwrap_err().contains("64 deep"));
        Node::parse(&"[".repeat(100_000)).unwrap_err();
        let mut bomb = "a0: &a0 {x: 1, y: 2, z: 3}\n".to_owned();
        for level in 1..60 {
            let below = level - 1;
            bomb += &format!("a{level}: &a{level} {{x: *a{below}, y: *a{below}}}\n");
        }
        assert_eq!(Node::parse(&bomb).unwrap_err(), "more than 100000 values");
        for broken in ["a: b: c", "a: *nowhere", "a: }", "a: \"b"] {
            let error = Node::parse(broken).unwrap_err();
            assert!(error.contains("line 1"), "{broken}: {error}");
        }
    }
}
