//! Challenges of `WWW-Authenticate` (RFC 9110, sections 11.2 to 11.6.1).
//!
//! A header may have several challenges, and a response several headers. Parameters may be quoted,
//! and a challenge may have a token (`token68`) instead of parameters. Parsing stops at the first
//! error in a header, and keeps what came before.

/// One challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    #[cfg(feature = "fuzzing")]
    pub(crate) fn into_parts(self) -> (String, Vec<(String, String)>) {
        (self.scheme, self.parameters)
    }

    /// Whether it is for this scheme; schemes are case-insensitive.
    pub(super) fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The first parameter with this name; names are case-insensitive.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let named = self.parameters.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str())
    }
}

/// The challenges of one header.
pub(crate) fn challenges(header: &str) -> Vec<Challenge> {
    let mut rest = Rest(header);
    let mut all = Vec::new();
    loop {
        rest.skip_separators();
        let Some(scheme) = rest.token() else { return all };
        let mut challenge = Challenge { scheme: scheme.to_owned(), parameters: Vec::new() };
        if !rest.token68() {
            rest.parameters(&mut challenge.parameters);
        }
        all.push(challenge);
    }
}

/// The rest of a header.
#[derive(Clone, Copy)]
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Skips white space and commas: lists may have empty elements.
    fn skip_separators(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t', ',']);
    }

    fn skip_space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t']);
    }

    fn token(&mut self) -> Option<&'a str> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        self.leading(is_part)
    }

    fn leading(&mut self, is_part: impl Fn(char) -> bool) -> Option<&'a str> {
        let end = self.0.find(|c| !is_part(c)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at(end);
        self.0 = rest;
        (!token.is_empty()).then_some(token)
    }

    /// Skips a token in place of parameters, if there is one: only padding follows it up to the
    /// next comma.
    fn token68(&mut self) -> bool {
        let mut ahead = *self;
        ahead.skip_space();
        let is_part = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
        if ahead.leading(is_part).is_none() {
            return false;
        }
        ahead.0 = ahead.0.trim_start_matches('=');
        ahead.skip_space();
        let is_one = ahead.0.is_empty() || ahead.0.starts_with(',');
        if is_one {
            *self = ahead;
        }
        is_one
    }

    /// Reads parameters until the scheme of the next challenge.
    fn parameters(&mut self, parameters: &mut Vec<(String, String)>) {
        loop {
            let mut ahead = *self;
            ahead.skip_separators();
            let Some(name) = ahead.token() else { return };
            ahead.skip_space();
            let Some(value) = ahead.0.strip_prefix('=') else { return };
            ahead.0 = value;
            ahead.skip_space();
            let Some(value) = ahead.value() else {
                self.0 = "";
                return;
            };
            parameters.push((name.to_owned(), value));
            *self = ahead;
        }
    }

    fn value(&mut self) -> Option<String> {
        let Some(quoted) = self.0.strip_prefix('"') else {
            // More than the grammar of a token allows, so that an address without quotes is
            // accepted.
            return self.leading(|c| !" \t,\"".contains(c)).map(str::to_owned);
        };
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.0 = &quoted[at + 1..];
                    return Some(value);
                }
                '\\' => value.push(characters.next()?.1),
                other => value.push(other),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Parameters<'a> = &'a [(&'a str, &'a str)];

    #[test]
    fn challenges_are_read_as_rfc_9110_has_them() {
        let bearer: Parameters = &[("realm", "https://a/t"), ("service", "s")];
        let cases: [(&str, &[(&str, Parameters)]); 13] = [
            ("", &[]),
            (r#"Bearer realm="https://a/t",service="s""#, &[("Bearer", bearer)]),
            (r#"bearer  realm = "https://a/t" , service=s"#, &[("bearer", bearer)]),
            (r#"BEARER realm=https://a/t,service="s""#, &[("BEARER", bearer)]),
            (
                r#"Basic realm="x, Bearer realm=y", Bearer realm="https://a/t", service="s""#,
                &[("Basic", &[("realm", "x, Bearer realm=y")]), ("Bearer", bearer)],
            ),
            (
                r#"Negotiate, Bearer realm="https://a/t",service="s",Basic realm=b"#,
                &[("Negotiate", &[]), ("Bearer", bearer), ("Basic", &[("realm", "b")])],
            ),
            (
                r#"Negotiate a+b/c==, Bearer realm="https://a/t", service="s""#,
                &[("Negotiate", &[]), ("Bearer", bearer)],
            ),
            (
                r#"NTLM TlRMTVNTUAAC, Bearer realm="https://a/t", service="s""#,
                &[("NTLM", &[]), ("Bearer", bearer)],
            ),
            (r#", ,Bearer realm="https://a/t",, service="s",,"#, &[("Bearer", bearer)]),
            (r#"Bearer realm="a\"b\\c""#, &[("Bearer", &[("realm", r#"a"b\c"#)])]),
            (r#"Bearer realm="""#, &[("Bearer", &[("realm", "")])]),
            (r#"Bearer realm="open"#, &[("Bearer", &[])]),
            (
                r#"Basic realm=x, Bearer realm="open"#,
                &[("Basic", &[("realm", "x")]), ("Bearer", &[])],
            ),
        ];
        for (header, expected) in cases {
            let read: Vec<_> = challenges(header)
                .into_iter()
                .map(|challenge| (challenge.scheme, challenge.parameters))
                .collect();
            let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            let expected: Vec<_> = expected
                .iter()
                .map(|(scheme, all)| ((*scheme).to_owned(), all.iter().map(owned).collect()))
                .collect();
            assert_eq!(read, expected, "{header}");
        }
    }
}
