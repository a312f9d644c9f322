//! The ignition for the discovery, from a template with ironcore's variables.

use gtmpl_ng::{Context, Template, Value};
use std::collections::HashMap;

/// The template that is used by default.
pub const DEFAULT_TEMPLATE: &str = include_str!("ignition-template.yaml");

/// The variables in a template: `.Image`, `.Flags`, `.SSHPublicKey`, `.PasswordHash`.
#[derive(Clone, Copy, Debug)]
pub struct Variables<'a> {
    /// Image of the agent.
    pub image: &'a str,
    /// Flags of the agent.
    pub flags: &'a str,
    /// Public key for the user `metal`, as in `authorized_keys`.
    pub ssh_public_key: &'a str,
    /// Password hash for the user `metal`.
    pub password_hash: &'a str,
}

/// The template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// It is not a Go template.
    #[error("not a Go template: {0}")]
    Template(String),
    /// It cannot be rendered.
    #[error("rendering failed: {0}")]
    Render(String),
    /// The result is not a Butane document of variant fcos.
    #[error("the rendered template is not valid Butane: {0}")]
    Butane(String),
}

/// A template that was rendered once, with a Butane document as the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnitionTemplate(String);

impl IgnitionTemplate {
    /// Checks a template with sample values.
    ///
    /// # Errors
    ///
    /// If it cannot be used; the text names the place.
    pub fn parse(text: &str) -> Result<Self, InvalidTemplate> {
        let template = Self(text.to_owned());
        let rendered = template.render(&Variables {
            image: "registry.example/metalprobe:1",
            flags: "--registry-url=http://192.0.2.1:10000 --server-uuid=00000000",
            ssh_public_key: "ssh-ed25519 AAAA",
            password_hash: "$2b$04$abcdefghijklmnopqrstuu",
        })?;
        crate::butane::translate(&rendered)
            .map_err(|error| InvalidTemplate::Butane(error.to_string()))?;
        Ok(template)
    }

    /// Renders the Butane document with these values.
    ///
    /// # Errors
    ///
    /// If it cannot be rendered.
    pub fn render(&self, variables: &Variables<'_>) -> Result<String, InvalidTemplate> {
        let mut template = Template::default();
        template
            .parse(self.0.as_str())
            .map_err(|error| InvalidTemplate::Template(error.to_string()))?;
        let values: HashMap<String, Value> = [
            ("Image", variables.image),
            ("Flags", variables.flags),
            ("SSHPublicKey", variables.ssh_public_key),
            ("PasswordHash", variables.password_hash),
        ]
        .map(|(name, value)| (name.to_owned(), Value::String(value.to_owned())))
        .into();
        let rendered = template.render(&Context::from(values));
        let rendered = rendered.map_err(|error| InvalidTemplate::Render(error.to_string()))?;
        if rendered.contains("<no value>") {
            let known = ".Image, .Flags, .SSHPublicKey and .PasswordHash";
            return Err(InvalidTemplate::Render(format!("unknown variable; use one of {known}")));
        }
        Ok(rendered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_template_carries_every_variable() {
        let template = IgnitionTemplate::parse(DEFAULT_TEMPLATE).unwrap();
        let rendered = template
            .render(&Variables {
                image: "the-image",
                flags: "--the-flags",
                ssh_public_key: "the-key",
                password_hash: "the-hash",
            })
            .unwrap();
        for value in ["the-image", "--the-flags", "the-key", "the-hash"] {
            assert!(rendered.contains(value), "{value} is missing");
        }
    }

    #[test]
    fn template_that_cannot_be_used_is_refused_with_its_reason() {
        let refused = |text| IgnitionTemplate::parse(text).unwrap_err();
        assert!(matches!(refused("{{ .Image"), InvalidTemplate::Template(_)));
        assert!(matches!(refused("{{ .Imgae }}"), InvalidTemplate::Render(_)));
        assert!(matches!(refused("just text"), InvalidTemplate::Butane(_)));
    }
}
