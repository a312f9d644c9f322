//! On whose account blobs are downloaded: whoever may name images decides how large they are.

use std::sync::Arc;

/// Whoever has images fetched, such as a namespace. What is downloaded on one account at a time takes at
/// most half of the store, and two of the places for downloads; the default account has no limit of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Account(Option<Arc<str>>);

impl Account {
    /// The account of this name.
    pub fn of(name: &str) -> Self {
        Self(Some(name.into()))
    }

    /// Whether it has limits.
    pub(super) fn is_limited(&self) -> bool {
        self.0.is_some()
    }
}

/// What a download has reserved so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Reserved {
    pub(super) account: Account,
    /// Bytes.
    pub(super) size: u64,
}

impl Reserved {
    /// Nothing yet.
    pub(super) fn none(account: &Account) -> Self {
        Self { account: account.clone(), size: 0 }
    }
}
