//! Every word on the screen, from the locale files (Fluent). Nothing is concatenated in code.

use std::cell::RefCell;

use fluent_bundle::{FluentArgs, FluentBundle, FluentResource, FluentValue};
use unic_langid::LanguageIdentifier;

/// Languages with a file, the first for everybody else.
static LANGUAGES: [(&str, &str); 3] = [
    ("en", include_str!("../locales/en.ftl")),
    ("de", include_str!("../locales/de.ftl")),
    ("nl", include_str!("../locales/nl.ftl")),
];

thread_local! {
    static BUNDLES: RefCell<Vec<FluentBundle<FluentResource>>> = const { RefCell::new(Vec::new()) };
}

/// Takes the first language that has a file; English stands behind it for what it lacks.
pub(crate) fn choose(wanted: &[String]) {
    let short = |tag: &str| tag.split('-').next().unwrap_or_default().to_lowercase();
    let chosen =
        wanted.iter().find_map(|tag| LANGUAGES.iter().find(|(name, _)| *name == short(tag))).unwrap_or(&LANGUAGES[0]);
    let bundles = [chosen, &LANGUAGES[0]].map(|(name, text)| {
        let language: LanguageIdentifier = name.parse().unwrap_or_default();
        let mut bundle = FluentBundle::new(vec![language]);
        // Marks around arguments that only mixed directions need; they would end up in tests and copies.
        bundle.set_use_isolating(false);
        let resource = match FluentResource::try_new((*text).to_owned()) {
            Ok(resource) | Err((resource, _)) => resource,
        };
        bundle.add_resource_overriding(resource);
        bundle
    });
    BUNDLES.with_borrow_mut(|all| *all = bundles.into());
}

/// A text without arguments.
pub(crate) fn text(id: &str) -> String {
    with(id, &[])
}

/// A text with arguments. A number among them chooses its plural.
pub(crate) fn with(id: &str, arguments: &[(&'static str, Argument)]) -> String {
    let mut given = FluentArgs::new();
    for (name, value) in arguments {
        match value {
            Argument::Count(count) => given.set(*name, FluentValue::from(*count)),
            Argument::Text(text) => given.set(*name, FluentValue::from(text.clone())),
        }
    }
    BUNDLES.with_borrow(|bundles| {
        bundles
            .iter()
            .find_map(|bundle| {
                let pattern = bundle.get_message(id)?.value()?;
                Some(bundle.format_pattern(pattern, Some(&given), &mut Vec::new()).into_owned())
            })
            // A missing text shows its name: ugly, found at once, and nothing else breaks.
            .unwrap_or_else(|| id.to_owned())
    })
}

/// The value of an argument.
#[derive(Clone, Debug)]
pub(crate) enum Argument {
    /// A whole number that chooses a plural.
    Count(i64),
    /// Ready text.
    Text(String),
}

impl From<String> for Argument {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Argument {
    fn from(count: i64) -> Self {
        Self::Count(count)
    }
}

/// The reader's decimal sign.
pub(crate) fn decimal_sign() -> char {
    text("decimal-sign").chars().next().unwrap_or('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of the messages in a locale file.
    fn ids(text: &str) -> Vec<&str> {
        text.lines()
            .filter(|line| line.starts_with(|first: char| first.is_ascii_lowercase()))
            .filter_map(|line| line.split_once(" =").map(|(id, _)| id))
            .collect()
    }

    #[test]
    fn every_language_has_every_text_and_no_other() {
        let (_, english) = &LANGUAGES[0];
        for (name, text) in &LANGUAGES {
            assert!(FluentResource::try_new((*text).to_owned()).is_ok(), "{name} is well-formed");
            let (mut ours, mut theirs) = (ids(text), ids(english));
            ours.sort_unstable();
            theirs.sort_unstable();
            assert_eq!(ours, theirs, "{name}");
        }
    }

    #[test]
    fn the_readers_language_is_chosen_and_english_stands_behind() {
        choose(&["fr-CA".to_owned(), "de-AT".to_owned()]);
        assert_eq!(decimal_sign(), ',');
        choose(&["xx".to_owned()]);
        assert_eq!(decimal_sign(), '.');
        assert_eq!(text("no-such-text"), "no-such-text");
    }
}
