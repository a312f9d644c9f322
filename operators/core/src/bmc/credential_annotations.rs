//! What is recorded about a BMC with its credentials.

use std::{borrow::Cow, collections::BTreeMap};

/// Annotations and their new values; `None` removes one.
pub type CredentialAnnotations = BTreeMap<Cow<'static, str>, Option<String>>;
