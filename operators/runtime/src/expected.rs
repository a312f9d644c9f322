//! Refusals by the API server that the caller expects.

/// A response of the API server of which one particular refusal is not an error.
pub trait Expected<T> {
    /// `None` if the object does not exist (404).
    ///
    /// # Errors
    ///
    /// Any other refusal.
    fn unless_absent(self) -> Result<Option<T>, kube::Error>;

    /// `None` if an object of that name exists already (409, `AlreadyExists`).
    ///
    /// # Errors
    ///
    /// Any other refusal.
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
