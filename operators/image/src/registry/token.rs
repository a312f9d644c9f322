//! Bearer tokens for pulls, anonymous or with a login (distribution "Token Authentication Specification").

use super::{
    Access, Error, Registries,
    address_policy::{AddressPolicy as _, Reach},
    challenge::{Challenge, challenges},
};
use crate::{login::Login, reference::excerpt};
use reqwest::{Response, StatusCode, Url, header::WWW_AUTHENTICATE};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;
use std::{fmt, time::Duration};
use tokio::time::{Instant, timeout};

/// Largest token response, in bytes.
const LIMIT: usize = 64 << 10;
/// How many scopes of a challenge are used.
const MAX_SCOPES: usize = 4;
/// Longest of them, in bytes.
const MAX_SCOPE: usize = 512;
/// Validity if the service gives none (distribution's default).
const DEFAULT_VALIDITY: Duration = Duration::from_mins(1);
/// A longer validity is cut to this.
const MOST_VALIDITY: Duration = Duration::from_hours(1);
/// Tokens are dropped this long before they expire, because a request takes time.
const MARGIN: Duration = Duration::from_secs(10);

/// A token and when to stop using it.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) until: Instant,
}

/// Where to request a token, and what for.
pub(super) struct Service {
    pub(super) realm: Url,
    /// The parameter `service` of the challenge.
    name: Option<String>,
    /// What the registry wants a token for; `None` if it does not say.
    scope: Option<String>,
}

impl Registries {
    /// Requests a token for pulling from a service, with a login or anonymously.
    pub(super) async fn token(
        &self,
        access: &Access,
        Service { realm, name: service, scope }: Service,
        login: Option<&Login>,
        reach: Reach,
    ) -> Result<Token, Error> {
        let (name, registry) = (access.name(), access.name().registry());
        let refused = |what: String| Error::Token { registry: registry.clone(), what };
        if realm.scheme() != "https" && !self.is_insecure(registry) {
            return Err(refused("is not https; see --insecure-registries".to_owned()));
        }
        if !reach.admits_url(&realm) {
            return Err(refused(format!("{} is no address for it", excerpt(realm.authority()))));
        }
        let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", name.repository()));
        let mut query = vec![("scope", scope.as_str())];
        query.extend(service.as_deref().map(|service| ("service", service)));
        let mut request = self.client(reach).get(realm).query(&query);
        if let Some(login) = login {
            request = request.basic_auth(&login.username, Some(&login.password));
        }
        let answer = async {
            let response = request.send().await.map_err(|e| Error::unreachable(registry, e))?;
            // The real status is kept: only 401 says that the password is wrong.
            let no_token =
                |status: StatusCode| match Error::of_status(access, StatusCode::FORBIDDEN) {
                    Error::LoginRefused { registry, name, .. } => {
                        Error::LoginRefused { registry, name, status: status.as_u16() }
                    }
                    error => error,
                };
            if response.status() == StatusCode::BAD_REQUEST {
                return Err(no_token(StatusCode::BAD_REQUEST));
            }
            let missing = || no_token(StatusCode::NOT_FOUND);
            let response = self.checked(access, response, missing)?;
            let body = super::body::read(response, LIMIT).await.map_err(|e| e.of(registry))?;
            let body = body.ok_or_else(|| refused("answer is too long".to_owned()))?;
            parse(&body).ok_or_else(|| refused("answer has no token".to_owned()))
        };
        let late = |_| Error::Deadline { registry: registry.clone() };
        timeout(self.deadline, answer).await.map_err(late)?
    }
}

impl Service {
    /// The token service named in a response, if there is one.
    pub(super) fn of(response: &Response) -> Result<Option<Self>, String> {
        let Some(bearer) = challenge(response, "Bearer") else { return Ok(None) };
        let Some(realm) = bearer.parameter("realm").filter(|realm| !realm.is_empty()) else {
            // A challenge that cannot be used is skipped if there is another one (RFC 9110, section
            // 11.6.1).
            let none = "the registry does not name it: its challenge has no realm";
            return if Self::takes_logins(response) { Ok(None) } else { Err(none.to_owned()) };
        };
        let realm = address(response.url(), realm)?;
        let name = bearer.parameter("service").map(str::to_owned);
        let scope = bearer.parameter("scope").and_then(pulls);
        Ok(Some(Self { realm, name, scope }))
    }

    /// The same without the scope that the registry has asked for: with a login for another host, the registry
    /// must not choose it.
    pub(super) fn of_its_name(self) -> Self {
        Self { scope: None, ..self }
    }

    /// Whether the server that sent this response takes logins itself.
    pub(super) fn takes_logins(response: &Response) -> bool {
        challenge(response, "Basic").is_some()
    }
}

/// The part of a scope that is about pulling; a proxy may have other names for its repositories than its
/// clients. `None` if there is none (distribution "Token Scope Documentation").
fn pulls(scope: &str) -> Option<String> {
    let pull = |one: &str| {
        let (resource, actions) = one.rsplit_once(':')?;
        let is_repository = resource.split_once(':').is_some_and(|(type_, name)| {
            (type_ == "repository" || type_.starts_with("repository(")) && !name.is_empty()
        });
        let is_pull = actions.split(',').any(|action| action == "pull");
        (is_repository && is_pull && one.len() <= MAX_SCOPE).then(|| format!("{resource}:pull"))
    };
    let all: Vec<_> = scope.split(' ').take(MAX_SCOPES).filter_map(pull).collect();
    (!all.is_empty()).then(|| all.join(" "))
}

/// The first challenge of a scheme in a response.
fn challenge(response: &Response, scheme: &str) -> Option<Challenge> {
    let headers = response.headers().get_all(WWW_AUTHENTICATE).iter();
    let mut all =
        headers.flat_map(|header| challenges(&String::from_utf8_lossy(header.as_bytes())));
    all.find(|challenge| challenge.is(scheme))
}

/// The address of a token service: a URI, or a reference relative to the request (RFC 3986, section
/// 5). A login in it is ignored: it is not ours.
pub(crate) fn address(asked: &Url, realm: &str) -> Result<Url, String> {
    // May be of any length, and contain a password.
    let shown = || excerpt(realm.rsplit_once('@').map_or(realm, |(_, rest)| rest));
    let mut url =
        asked.join(realm.trim()).map_err(|error| format!("realm {:?}: {error}", shown()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("realm {:?} is no http or https address", shown()));
    }
    // Neither fails for these schemes.
    url.set_username("").ok();
    url.set_password(None).ok();
    url.set_fragment(None);
    Ok(url)
}

pub(crate) fn parse(body: &[u8]) -> Option<Token> {
    let text = String::from_utf8_lossy(body);
    let grant: Grant = serde_json::from_str(text.trim_start_matches('\u{feff}')).ok()?;
    let until = Instant::now() + validity(&grant.expires_in).saturating_sub(MARGIN);
    Some(Token { text: grant.token.or(grant.access_token)?, until })
}

/// How long a token may be reused. It is good for the request that it was fetched for in any case.
fn validity(expires_in: &Value) -> Duration {
    let seconds = match expires_in {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    match seconds {
        Some(seconds) if seconds.is_nan() => DEFAULT_VALIDITY,
        Some(seconds) if seconds <= 0.0 => Duration::ZERO,
        Some(seconds) => {
            Duration::try_from_secs_f64(seconds).unwrap_or(MOST_VALIDITY).min(MOST_VALIDITY)
        }
        None => DEFAULT_VALIDITY,
    }
}

/// A token response. Only a missing token makes it unusable; other fields may be anything.
#[derive(Default)]
struct Grant {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Value,
}

impl<'de> Deserialize<'de> for Grant {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Grant;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Grant, A::Error> {
        let mut grant = Grant::default();
        let text = |value: Value| value.as_str().map(str::to_owned).filter(|text| !text.is_empty());
        while let Some(field) = map.next_key::<String>()? {
            match field.as_str() {
                "token" => grant.token = text(map.next_value()?).or(grant.token),
                "access_token" => {
                    grant.access_token = text(map.next_value()?).or(grant.access_token);
                }
                "expires_in" => grant.expires_in = map.next_value()?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_side_field_never_costs_the_token() {
        let usable: [(&str, u64); 16] = [
            (r#"{"token":"a"}"#, 50),
            (r#"{"access_token":"a"}"#, 50),
            (r#"{"token":"","access_token":"a"}"#, 50),
            (r#"{"token":null,"access_token":"a"}"#, 50),
            (r#"{"token":7,"access_token":"a","expires_in":300}"#, 290),
            (r#"{"token":"a","access_token":"b","expires_in":300}"#, 290),
            (r#"{"token":"a","expires_in":"300"}"#, 290),
            (r#"{"token":"a","expires_in":299.9}"#, 289),
            (r#"{"token":"a","expires_in":-1}"#, 0),
            (r#"{"token":"a","expires_in":0}"#, 0),
            (r#"{"token":"a","expires_in":1e300}"#, 3590),
            (r#"{"token":"a","expires_in":null}"#, 50),
            (r#"{"token":"a","expires_in":"soon"}"#, 50),
            (r#"{"token":"a","expires_in":{"seconds":300}}"#, 50),
            (r#"{"token":"a","issued_at":7,"scope":[1e999,{"x":{}}],"refresh_token":null}"#, 50),
            (r#"{"token":"a","token":"a","expires_in":1,"expires_in":300}"#, 290),
        ];
        for (body, seconds) in usable {
            let token = parse(body.as_bytes()).unwrap_or_else(|| panic!("{body}"));
            assert_eq!(token.text, "a", "{body}");
            let left = token.until.saturating_duration_since(Instant::now()).as_secs_f64();
            assert!(
                (left - f64::from(u32::try_from(seconds).unwrap())).abs() < 1.5,
                "{body} {left}"
            );
        }
        let marked =
            [b"\xef\xbb\xbf".as_slice(), br#"{"token":"a","by":""#, b"\xff", br#""}"#].concat();
        assert_eq!(parse(&marked).unwrap().text, "a");
        for body in ["", "{}", "[]", r#""a""#, r#"{"token":""}"#, r#"{"token":"a""#] {
            assert!(parse(body.as_bytes()).is_none(), "{body}");
        }
    }

    #[test]
    fn of_a_scope_only_what_is_about_pulling_is_asked_for() {
        let cases = [
            ("repository:os:pull", Some("repository:os:pull")),
            ("repository:remote/library/os:pull,push", Some("repository:remote/library/os:pull")),
            ("repository:here:5000/os:pull", Some("repository:here:5000/os:pull")),
            ("repository:a:push repository:b:*,pull", Some("repository:b:pull")),
            ("repository:a:pull  repository:b:pull", Some("repository:a:pull repository:b:pull")),
            ("repository(plugin):a:pull", Some("repository(plugin):a:pull")),
            ("registry:catalog:*", None),
            ("repository:os:push", None),
            ("repository::pull", None),
            ("repository:pull", None),
            ("x", None),
            ("", None),
        ];
        for (scope, expected) in cases {
            assert_eq!(pulls(scope).as_deref(), expected, "{scope}");
        }
        assert_eq!(pulls(&format!("repository:{}:pull", "a".repeat(MAX_SCOPE))), None);
        let many = pulls(&"repository:a:pull ".repeat(100)).unwrap();
        assert_eq!(many.split(' ').count(), MAX_SCOPES);
    }

    #[test]
    fn the_address_of_a_token_service_is_a_reference_of_rfc_3986() {
        let asked = Url::parse("https://[2001:db8::1]:5000/v2/os/manifests/1").unwrap();
        let cases = [
            ("https://auth.example/token", "https://auth.example/token"),
            ("HTTPS://Auth.Example/token?a=b#c", "https://auth.example/token?a=b"),
            ("https://[2001:db8::2]:444/t", "https://[2001:db8::2]:444/t"),
            ("https://user:secret@auth.example/t", "https://auth.example/t"),
            ("//auth.example/t", "https://auth.example/t"),
            ("/token?account=x", "https://[2001:db8::1]:5000/token?account=x"),
            ("../token", "https://[2001:db8::1]:5000/v2/os/token"),
            (" https://auth.example/t ", "https://auth.example/t"),
        ];
        for (realm, url) in cases {
            assert_eq!(address(&asked, realm).unwrap().as_str(), url, "{realm}");
        }
        for realm in ["ftp://a/b", "file:///etc/passwd", "https://", "https://[::1"] {
            assert!(address(&asked, realm).is_err(), "{realm}");
        }
        for realm in ["ftp://user:secret@a/", "https://user:secret@[::1/"] {
            let error = address(&asked, &format!("{realm}{}", "x".repeat(10_000))).unwrap_err();
            assert!(!error.contains("secret") && error.len() < 200, "{error}");
        }
    }
}
