//! What is asked for, and with whose logins.

use crate::{
    login::{Login, Logins},
    reference::Name,
};

/// A repository, and the logins of whoever asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Access {
    name: Name,
    logins: Logins,
}

impl Access {
    pub(crate) fn new(name: &Name, logins: &Logins) -> Self {
        Self { name: name.clone(), logins: logins.clone() }
    }

    pub(crate) fn anonymous(name: &Name) -> Self {
        Self::new(name, &Logins::default())
    }

    /// The repository.
    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// The login for the repository, if there is one.
    pub(crate) fn login(&self) -> Option<&Login> {
        self.logins.of(&self.name)
    }

    /// All logins.
    pub(crate) fn logins(&self) -> &Logins {
        &self.logins
    }
}
