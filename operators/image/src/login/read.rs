//! Reads the configuration of a container tool.

use super::{Entry, Login, Logins};
use crate::reference::Registry;
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// Bytes of a configuration at most.
const LIMIT: usize = 256 << 10;
/// Logins of a configuration at most.
const ENTRIES: usize = 64;
/// Bytes of a user name, or a password, at most: some are tokens.
const LONGEST: usize = 16 << 10;

/// Why a configuration of logins cannot be used. Shows nothing of what is in it but names of registries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedLogin {
    /// It is too long.
    #[error("longer than {LIMIT} bytes")]
    TooLong,
    /// It is not what container tools write.
    #[error(
        "not the configuration of a container tool, line {line} column {column}: make it with \
         `kubectl create secret docker-registry`"
    )]
    Json {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
    },
    /// It has too many logins.
    #[error("auths: more than {ENTRIES} registries")]
    TooMany,
    /// A login makes no sense.
    #[error("auths: the login for {registry} {why}")]
    Login {
        /// What it is for.
        registry: Registry,
        /// What is wrong with it.
        why: &'static str,
    },
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(default, deserialize_with = "or_nothing")]
    auths: BTreeMap<String, Option<Written>>,
}

#[derive(Default, Deserialize)]
struct Written {
    #[serde(default, deserialize_with = "or_nothing")]
    username: String,
    #[serde(default, deserialize_with = "or_nothing")]
    password: String,
    #[serde(default, deserialize_with = "or_nothing")]
    auth: String,
}

/// A value that may be null, as for the container tools, which are written in Go.
fn or_nothing<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

impl Logins {
    /// Reads a configuration. What stands at something that is no registry, and entries without a login,
    /// are left out, as container tools do.
    ///
    /// # Errors
    ///
    /// It is not what such tools write, or a login in it makes no sense.
    pub fn parse(text: &[u8]) -> Result<Self, MalformedLogin> {
        if text.len() > LIMIT {
            return Err(MalformedLogin::TooLong);
        }
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        // What serde_json says may quote a password.
        let Configuration { auths } = serde_json::from_slice(text)
            .map_err(|it| MalformedLogin::Json { line: it.line(), column: it.column() })?;
        if auths.len() > ENTRIES {
            return Err(MalformedLogin::TooMany);
        }
        let known =
            auths.into_iter().filter_map(|(place, auth)| Some((parse_place(&place)?, auth?)));
        let entries = known.filter_map(|((registry, path), auth)| {
            let login = login(auth)
                .map_err(|why| MalformedLogin::Login { registry: registry.clone(), why });
            Some(login.transpose()?.map(|login| Entry { registry, path, login }))
        });
        Ok(Self(entries.collect::<Result<_, _>>()?))
    }
}

/// A registry, and the beginning of the names of repositories. Tools write some of them as the URL of an
/// interface that is long gone.
fn parse_place(text: &str) -> Option<(Registry, Box<str>)> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let rest = rest.unwrap_or(text);
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = path.trim_matches('/');
    let path = if matches!(path, "v1" | "v2") { "" } else { path };
    Some((host.parse().ok()?, path.into()))
}

/// The login of an entry, if it has one; `auth` counts where it has both, as everywhere.
fn login(auth: Written) -> Result<Option<Login>, &'static str> {
    let (username, password) = if auth.auth.is_empty() {
        (auth.username, auth.password)
    } else {
        let both =
            STANDARD.decode(auth.auth.trim()).map_err(|_| "has an auth that is no base64")?;
        let both = String::from_utf8(both).map_err(|_| "has an auth that is no UTF-8")?;
        let both = both.trim_end_matches('\0');
        let both = both.split_once(':').ok_or("has an auth without a colon")?;
        (both.0.to_owned(), both.1.to_owned())
    };
    if username.is_empty() && password.is_empty() {
        return Ok(None);
    }
    // RFC 7617, section 2: nobody could tell where such a name ends.
    if username.contains(':') {
        return Err("has a user name with a colon");
    }
    if username.len() > LONGEST || password.len() > LONGEST {
        return Err("is too long");
    }
    if username.chars().chain(password.chars()).any(char::is_control) {
        return Err("has a line break or another control character");
    }
    Ok(Some(Login { username, password }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Name;

    #[test]
    fn what_container_tools_write_is_read() {
        let texts = [
            r#"{"auths":{"ghcr.io":{"username":"a","password":"b:c"}}}"#,
            r#"{"auths":{"ghcr.io":{"auth":"YTpiOmM="}}}"#,
            r#"{"auths":{"ghcr.io":{"username":"x","password":"y","auth":"YTpiOmM=","email":"e"}}}"#,
            r#"{"auths":{"https://ghcr.io/v2/":{"auth":"YTpiOmM="}},"credsStore":"pass"}"#,
            r#"{"auths":{"ghcr.io":{"auth":"YTpiOmM="},"*.example":{"auth":"eDp5"},"x.example":{}}}"#,
            r#"{"auths":{"ghcr.io":{"username":null,"auth":"YTpiOmM="},"x.example":null}}"#,
        ];
        for text in texts {
            let logins = Logins::parse(text.as_bytes()).unwrap();
            let name: Name = "ghcr.io/a/b".parse().unwrap();
            let login = logins.of(&name).unwrap();
            assert_eq!((login.username.as_str(), login.password.as_str()), ("a", "b:c"), "{text}");
            assert_eq!(logins.hosts().count(), 1, "{text}");
        }
        for empty in [b"{}".as_slice(), br#"{"auths":null}"#] {
            assert_eq!(Logins::parse(empty).unwrap(), Logins::default());
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_what_is_in_it() {
        let long = format!(
            r#"{{"auths":{{"a.b":{{"username":"a","password":"{}"}}}}}}"#,
            "x".repeat(LONGEST + 1)
        );
        let cases = [
            ("hunter2", "not the configuration"),
            (r#"{"auths":"hunter2"}"#, "line 1 column"),
            (r#"{"auths":{"a.b":{"password":["hunter2"]}}}"#, "line 1 column"),
            (
                r#"{"auths":{"a.b":{"auth":"hunter2!"}}}"#,
                "the login for a.b has an auth that is no base64",
            ),
            (r#"{"auths":{"a.b":{"auth":"aHVudGVyMg=="}}}"#, "without a colon"),
            (r#"{"auths":{"a.b":{"username":"a:b","password":"hunter2"}}}"#, "a colon"),
            (r#"{"auths":{"a.b":{"username":"a","password":"hunter2\n"}}}"#, "a line break"),
            (long.as_str(), "is too long"),
        ];
        for (text, expected) in cases {
            let error = Logins::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
            assert!(!error.contains("hunter2") && error.len() < 200, "{error}");
        }
        let many: Vec<_> = (0..=ENTRIES).map(|n| format!(r#""r{n}.example":{{}}"#)).collect();
        let many = format!(r#"{{"auths":{{{}}}}}"#, many.join(","));
        assert_eq!(Logins::parse(many.as_bytes()), Err(MalformedLogin::TooMany));
        assert_eq!(Logins::parse(&vec![b' '; LIMIT + 1]), Err(MalformedLogin::TooLong));
    }
}
