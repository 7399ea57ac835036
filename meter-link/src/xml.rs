//! A small XML document as a tree, bounded.
//!
//! Namespaces are dropped, comments and declarations skipped, bytes outside UTF-8 replaced. Refuses documents that are
//! larger than [`MAX_DOCUMENT`], nested deeper than [`MAX_DEPTH`] or bring a document type of their own; entities beyond
//! XML's own five stand as written, so nothing expands.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Most bytes of a document: ten times the longest answer known (all variables of an EAGLE).
pub(crate) const MAX_DOCUMENT: usize = 262_144;

/// Deepest nesting: twice what any meter sends.
const MAX_DEPTH: usize = 16;

/// One element with all that is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    /// Its name, without a namespace.
    pub name: String,
    /// Names and values.
    attributes: Vec<(String, String)>,
    /// All its own text, joined.
    text: String,
    /// In the order sent.
    pub children: Vec<Self>,
}

impl Element {
    /// The first element of a document, whole. `None` for anything that is not well formed.
    pub(crate) fn parse(document: &[u8]) -> Option<Self> {
        if document.len() > MAX_DOCUMENT {
            return None;
        }
        let document = String::from_utf8_lossy(document);
        let mut reader = Reader::from_str(&document);
        let mut open: Vec<Self> = Vec::new();
        loop {
            let done = match reader.read_event().ok()? {
                Event::Start(_) if open.len() >= MAX_DEPTH => return None,
                Event::Start(tag) => {
                    open.push(Self::begin(&tag));
                    continue;
                }
                Event::Empty(tag) => Self::begin(&tag),
                Event::End(_) => open.pop()?,
                Event::Text(text) => {
                    write(&mut open, &text);
                    continue;
                }
                Event::CData(text) => {
                    write(&mut open, &text);
                    continue;
                }
                Event::GeneralRef(name) => {
                    match &*name {
                        "amp" => write(&mut open, "&"),
                        "apos" => write(&mut open, "'"),
                        "gt" => write(&mut open, ">"),
                        "lt" => write(&mut open, "<"),
                        "quot" => write(&mut open, "\""),
                        other => write(&mut open, &format!("&{};", other)),
                    }
                    continue;
                }
                Event::DocType(_) | Event::Eof => return None,
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => continue,
            };
            match open.last_mut() {
                Some(parent) => parent.children.push(done),
                None => return Some(done),
            }
        }
    }

    fn begin(tag: &BytesStart<'_>) -> Self {
        Self {
            name: tag.local_name().as_ref().to_owned(),
            attributes: tag
                .attributes()
                .flatten()
                .map(|attribute| (attribute.key.local_name().as_ref().to_owned(), attribute.value.into_owned()))
                .collect(),
            ..Self::default()
        }
    }

    /// Its own text without the white space around it.
    pub(crate) fn text(&self) -> &str {
        self.text.trim()
    }

    /// The first child of a name.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of a name; `None` if it is empty or not there.
    pub(crate) fn said(&self, name: &str) -> Option<&str> {
        self.child(name).map(Self::text).filter(|text| !text.is_empty())
    }

    /// One element that is nothing but text.
    pub(crate) fn of(name: &str, text: &str) -> Self {
        Self { name: name.to_owned(), text: text.to_owned(), ..Self::default() }
    }

    /// One element that is nothing but others.
    pub(crate) fn around(name: &str, children: Vec<Self>) -> Self {
        Self { name: name.to_owned(), children, ..Self::default() }
    }

    /// The element as a document, without its attributes.
    pub(crate) fn print(&self) -> String {
        let mut document = String::new();
        self.print_to(&mut document);
        document
    }

    fn print_to(&self, document: &mut String) {
        let Self { name, children, .. } = self;
        document.push_str(&format!("<{name}>"));
        for character in self.text().chars() {
            match character {
                '&' => document.push_str("&amp;"),
                '<' => document.push_str("&lt;"),
                '>' => document.push_str("&gt;"),
                other => document.push(other),
            }
        }
        children.iter().for_each(|child| child.print_to(document));
        document.push_str(&format!("</{name}>"));
    }

    /// The value of an attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    #[cfg(test)]
    /// All elements of a name, itself included, in the order sent.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> Vec<&'a Self> {
        let mut found = Vec::new();
        let mut waiting = vec![self];
        while let Some(element) = waiting.pop() {
            if element.name == name {
                found.push(element);
            }
            waiting.extend(element.children.iter().rev());
        }
        found
    }
}

fn write(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_a_tree() {
        let tree = Element::parse(b"<?xml version=\"1.0\"?><a:x b='1'><!-- --><y> 2 &amp; 3 </y><z/></a:x>tail")
            .expect("a tree");
        assert_eq!((tree.name.as_str(), tree.attribute("b"), tree.said("y")), ("x", Some("1"), Some("2 & 3")));
        assert_eq!((tree.said("z"), tree.all("z").len()), (None, 1));
    }

    #[test]
    fn what_is_not_well_formed_or_too_deep_is_none() {
        assert_eq!(Element::parse(b"<a><b></a>"), None);
        assert_eq!(Element::parse(b"<a>"), None);
        assert_eq!(Element::parse(b""), None);
        assert_eq!(Element::parse("<a>".repeat(100_000).as_bytes()), None);
        assert_eq!(Element::parse(&vec![b' '; MAX_DOCUMENT + 1]), None);
    }

    #[test]
    fn a_document_type_is_refused() {
        let document = r#"<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>"#;
        assert_eq!(Element::parse(document.as_bytes()), None);
    }

    #[test]
    fn what_is_printed_reads_as_it_was() {
        let tree = Element::parse(b"<x><y>2 &lt; 3 &amp;amp; &unknown;</y><z/></x>").expect("a tree");
        assert_eq!(Element::parse(tree.print().as_bytes()), Some(tree));
    }
}
