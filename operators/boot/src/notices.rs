//! What was reported on objects, so that it is reported once.

use metal_base::Locked;
use std::{collections::HashMap, sync::Mutex};

/// For how many objects it is remembered what was reported.
const REMEMBERED: usize = 1024;

/// What a notice is about: an object may have one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum NoticeKind {
    /// Fields and annotations without effect.
    Unsupported,
    /// Content that is passed on, and was meant to be translated.
    Untranslated,
    /// No machine gets it.
    NotServed,
    /// No machine gets one of its layers.
    LayerMissing,
}

impl NoticeKind {
    /// The reason of the event.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Unsupported | Self::Untranslated => "NotSupported",
            Self::NotServed => "NotServed",
            Self::LayerMissing => "LayerMissing",
        }
    }
}

/// UID of an object, and what was reported about it.
type Key = (String, NoticeKind);

/// What was reported. All of it may be lost: it is reported again then.
#[derive(Debug, Default)]
pub(crate) struct LastNotices(Mutex<HashMap<Key, String>>);

impl LastNotices {
    /// Whether this has yet to be reported.
    pub(crate) fn is_news(&self, key: Key, note: Option<&str>) -> bool {
        let mut told = self.0.locked();
        let Some(note) = note else {
            told.remove(&key);
            return false;
        };
        if told.len() >= REMEMBERED && !told.contains_key(&key) {
            told.clear();
        }
        told.insert(key, note.to_owned()).is_none_or(|before| before != note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_news_once_and_again_when_it_changes_or_comes_back() {
        let told = LastNotices::default();
        let key = |uid: &str| (uid.to_owned(), NoticeKind::Unsupported);
        let is_news = |note| told.is_news(key("a"), note);
        assert_eq!(
            [None, Some("x"), Some("x"), Some("y")].map(is_news),
            [false, true, false, true]
        );
        assert_eq!([None, Some("y")].map(is_news), [false, true]);
        assert!(
            told.is_news(("a".to_owned(), NoticeKind::NotServed), Some("y")),
            "of another kind"
        );
        for number in 0..2 * REMEMBERED {
            assert!(told.is_news(key(&number.to_string()), Some("x")));
        }
        assert!(told.0.lock().unwrap().len() <= REMEMBERED);
    }
}
