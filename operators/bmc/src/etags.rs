//! ETags (DSP0266, section 6.5).

use http::HeaderValue;

/// The ETags of a resource, which need not be the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Etags {
    /// Header `ETag`.
    pub(crate) header: Option<HeaderValue>,
    /// Property `@odata.etag`.
    pub(crate) body: Option<HeaderValue>,
}
