//! Refusals of the API server that whoever asks expects.

/// An answer of the API server in which one refusal is no failure.
pub trait Expected<T> {
    /// `None` where the object is not there (404).
    ///
    /// # Errors
    ///
    /// Every other refusal.
    fn unless_absent(self) -> Result<Option<T>, kube::Error>;

    /// `None` where there is an object of that name already (409, `AlreadyExists`).
    ///
    /// # Errors
    ///
    /// Every other refusal.
    fn unless_there(self) -> Result<Option<T>, kube::Error>;
}

impl<T> Expected<T> for Result<T, kube::Error> {
    fn unless_absent(self) -> Result<Option<T>, kube::Error> {
        match self {
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            answer => answer.map(Some),
        }
    }

    fn unless_there(self) -> Result<Option<T>, kube::Error> {
        match self {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(None),
            answer => answer.map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    #[test]
    fn one_refusal_is_expected_and_every_other_is_an_error() {
        let refused = |reason: &str, code| -> Result<(), kube::Error> {
            Err(kube::Error::Api(Box::new(Status::failure("", reason).with_code(code))))
        };
        assert_eq!(refused("NotFound", 404).unless_absent().unwrap(), None);
        assert_eq!(refused("AlreadyExists", 409).unless_there().unwrap(), None);
        refused("Conflict", 409).unless_there().unwrap_err();
        refused("AlreadyExists", 409).unless_absent().unwrap_err();
        refused("NotFound", 404).unless_there().unwrap_err();
        assert_eq!(Ok::<_, kube::Error>(1).unless_absent().unwrap(), Some(1));
        assert_eq!(Ok::<_, kube::Error>(1).unless_there().unwrap(), Some(1));
    }
}
