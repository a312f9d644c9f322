//! What was reported on objects, so that it is reported once.

use metal_base::Locked;
use std::{collections::HashMap, sync::Mutex};

/// For how many objects it is remembered what was reported.
const REMEMBERED: usize = 1024;

/// What was reported, by UID. All of it may be lost: it is reported again then.
#[derive(Debug, Default)]
pub(crate) struct LastNotices(Mutex<HashMap<String, String>>);

impl LastNotices {
    /// Whether this has yet to be reported.
    pub(crate) fn is_news(&self, uid: String, note: Option<&str>) -> bool {
        let mut told = self.0.locked();
        let Some(note) = note else {
            told.remove(&uid);
            return false;
        };
        if told.len() >= REMEMBERED && !told.contains_key(&uid) {
            told.clear();
        }
        told.insert(uid, note.to_owned()).is_none_or(|before| before != note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_news_once_and_again_when_it_changes_or_comes_back() {
        let told = LastNotices::default();
        let is_news = |note| told.is_news("a".to_owned(), note);
        assert_eq!(
            [None, Some("x"), Some("x"), Some("y")].map(is_news),
            [false, true, false, true]
        );
        assert_eq!([None, Some("y")].map(is_news), [false, true]);
        for number in 0..2 * REMEMBERED {
            assert!(told.is_news(number.to_string(), Some("x")));
        }
        assert!(told.0.lock().unwrap().len() <= REMEMBERED);
    }
}
