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

impl Etags {
    /// A copy of its own: a header is a slice of the buffer that holds the whole response.
    pub(crate) fn detached(&self) -> Self {
        let copy =
            |etag: &Option<HeaderValue>| HeaderValue::from_bytes(etag.as_ref()?.as_bytes()).ok();
        Self { header: copy(&self.header), body: copy(&self.body) }
    }

    /// Whether this is one of them, by weak comparison (RFC 9110, section 8.8.3.2). Quotes do not
    /// count either: some firmware leaves them out in one of the two places.
    pub(crate) fn contain(&self, etag: &str) -> bool {
        let own = [&self.header, &self.body].into_iter().flatten();
        let mut own = own.filter_map(|own| own.to_str().ok());
        !opaque(etag).is_empty() && own.any(|own| opaque(own) == opaque(etag))
    }
}

/// What is between the quotes.
fn opaque(etag: &str) -> &str {
    let etag = etag.trim();
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_the_same_in_either_strength_with_and_without_quotes() {
        let value = |text: &str| Some(HeaderValue::from_str(text).unwrap());
        let etags = Etags { header: value("W/\"7\""), body: value("\"a\"") };
        for (etag, is_one) in [
            ("W/\"7\"", true),
            ("\"7\"", true),
            ("7", true),
            ("W/7", true),
            ("a", true),
            ("\"a\"", true),
            ("8", false),
            ("", false),
            ("\"\"", false),
        ] {
            assert_eq!(etags.contain(etag), is_one, "{etag}");
        }
        assert!(!Etags { header: value("\"\""), body: None }.contain("W/\"\""));
        assert!(!Etags::default().contain("7"));
    }
}
