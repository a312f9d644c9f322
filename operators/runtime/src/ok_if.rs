//! Responses of the API server that are errors in general, but not for the caller.

/// The reason for which the API server refuses if it has no object of this name. A server that does not have
/// the kind answers 404 without one, and so does a proxy that answers in its place.
const NOT_FOUND: &str = "NotFound";

/// The reason for which it refuses what whoever asks may not do. A proxy answers 403 without one.
const FORBIDDEN: &str = "Forbidden";

/// Whether the API server itself refuses a request for want of a right. Any other 403 says nothing about that,
/// unlike with kube's `is_forbidden`.
pub fn lacks_right(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.reason == FORBIDDEN)
}

/// A response of the API server of which one particular refusal is not an error.
pub trait OkIf<T> {
    /// `None` if the object does not exist (404, `NotFound`). Any other 404 says nothing about it, unlike with
    /// kube's `get_opt`: use this where something is deleted or switched off because of it.
    ///
    /// # Errors
    ///
    /// Any other refusal.
    fn ok_if_not_found(self) -> Result<Option<T>, kube::Error>;

    /// `None` if an object of that name exists already (409, `AlreadyExists`).
    ///
    /// # Errors
    ///
    /// Any other refusal.
    fn ok_if_already_exists(self) -> Result<Option<T>, kube::Error>;
}

impl<T> OkIf<T> for Result<T, kube::Error> {
    fn ok_if_not_found(self) -> Result<Option<T>, kube::Error> {
        match self {
            Err(kube::Error::Api(status)) if status.reason == NOT_FOUND => Ok(None),
            answer => answer.map(Some),
        }
    }

    fn ok_if_already_exists(self) -> Result<Option<T>, kube::Error> {
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
    fn only_the_api_server_knows_who_lacks_a_right() {
        for (reason, code, expected) in
            [("Forbidden", 403, true), ("Failed to parse error data", 403, false), ("", 403, false)]
        {
            let status = Status::failure("", reason).with_code(code);
            assert_eq!(lacks_right(&kube::Error::Api(Box::new(status))), expected, "{reason}");
        }
    }

    #[test]
    fn one_refusal_is_expected_and_every_other_is_an_error() {
        let refused = |reason: &str, code| -> Result<(), kube::Error> {
            Err(kube::Error::Api(Box::new(Status::failure("", reason).with_code(code))))
        };
        assert_eq!(refused("NotFound", 404).ok_if_not_found().unwrap(), None);
        assert_eq!(refused("AlreadyExists", 409).ok_if_already_exists().unwrap(), None);
        refused("Conflict", 409).ok_if_already_exists().unwrap_err();
        refused("AlreadyExists", 409).ok_if_not_found().unwrap_err();
        refused("Failed to parse error data", 404).ok_if_not_found().unwrap_err();
        refused("NotFound", 404).ok_if_already_exists().unwrap_err();
        assert_eq!(Ok::<_, kube::Error>(1).ok_if_not_found().unwrap(), Some(1));
        assert_eq!(Ok::<_, kube::Error>(1).ok_if_already_exists().unwrap(), Some(1));
    }
}
