//! Names as a person writes them: `ORG`, `ORG/HOST`, `ORG/HOST:TAG`.

use anyhow::{Result, ensure};

/// A name of Kubernetes (RFC 1123, section 2.1).
///
/// # Errors
///
/// If it is none.
pub(crate) fn parse(name: &str) -> Result<&str> {
    let is_fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = !name.is_empty()
        && name.len() <= 63
        && name.chars().all(is_fine)
        && !name.starts_with('-')
        && !name.ends_with('-');
    ensure!(is_name, "{name:?} is not a name: use lower-case letters, digits and -");
    Ok(name)
}

/// `ORG/HOST`.
///
/// # Errors
///
/// If it is not.
pub(crate) fn host(text: &str) -> Result<(&str, &str)> {
    let parts = text.split_once('/');
    let (org, host) = parts.ok_or_else(|| anyhow::anyhow!("{text:?}: write ORG/HOST"))?;
    Ok((parse(org)?, parse(host)?))
}

/// `ORG/HOST:TAG`: namespace, name of the host, and name of its release `HOST-TAG`.
///
/// # Errors
///
/// If it is not.
pub(crate) fn release(text: &str) -> Result<(&str, &str, String)> {
    let parts = text.rsplit_once(':');
    let (of, tag) = parts.ok_or_else(|| anyhow::anyhow!("{text:?}: write ORG/HOST:TAG"))?;
    let (org, host) = host(of)?;
    let is_fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
    let is_tag = !tag.is_empty()
        && tag.len() <= 63
        && tag.chars().all(is_fine)
        && tag.ends_with(|c: char| c.is_ascii_alphanumeric());
    ensure!(is_tag, "{tag:?} is not a tag: use lower-case letters, digits, - and .");
    Ok((org, host, format!("{host}-{tag}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_kubernetes() {
        assert_eq!(host("org/web-1").unwrap(), ("org", "web-1"));
        let named = release("org/web-1:v1.2").unwrap();
        assert_eq!(named, ("org", "web-1", "web-1-v1.2".to_owned()));
        for bad in ["org", "/web", "org/", "Org/web", "org/-a", "org/a b", "a/b/c"] {
            assert!(host(bad).is_err(), "{bad}");
        }
        for bad in ["org/web", "org/web:", "org/web:V1", "org/web:a/b", "web:v1", "org/web:v."] {
            assert!(release(bad).is_err(), "{bad}");
        }
    }
}
