//! Values: in the forms that Go's flag package takes, and names of Kubernetes.

/// Parses a boolean in Go's spellings.
pub(super) fn boolean(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("not a boolean; use true or false"),
    }
}

/// Characters of the name of a namespace, at most (RFC 1123, section 2.1).
const NAMESPACE: usize = 63;

/// Parses the name of a namespace. In another one nothing would ever be found, and with an empty one everything
/// would be looked for in all.
///
/// # Errors
///
/// If it is not one.
pub fn namespace(text: &str) -> Result<String, String> {
    let is_of_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = !text.is_empty()
        && text.len() <= NAMESPACE
        && text.bytes().all(is_of_name)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if is_name {
        return Ok(text.to_owned());
    }
    Err(format!(
        "not the name of a namespace; use up to {NAMESPACE} lower-case letters, digits and hyphens"
    ))
}
