//! Why something did not work, for a person.

use kube::Error as KubeError;
use std::fmt::Write as _;

/// HTTP status codes with which the API server refuses.
const UNAUTHORIZED: u16 = 401;
const FORBIDDEN: u16 = 403;
const NOT_FOUND: u16 = 404;

/// Kinds of rented servers, as what was asked for names them.
const RENTED: [&str; 3] = ["Host", "HostRelease", "BootToken"];

/// What somebody asked about, because a status does not say of which kind nothing is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// Machines that join a cluster.
    Machines,
    /// Rented servers.
    Hosts,
}

impl About {
    fn of(error: &anyhow::Error) -> Self {
        let is_rented = error.chain().any(|part| match part.downcast_ref::<KubeError>() {
            Some(KubeError::Api(status)) => status.message.contains("\"bloomery.dev\""),
            Some(_) => false,
            None => part.to_string().split(' ').any(|word| RENTED.contains(&word)),
        });
        if is_rented { Self::Hosts } else { Self::Machines }
    }
}

/// An error and its sources in one line, each said once.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let about = About::of(error);
    let mut said = String::new();
    for part in error.chain() {
        // Those of the client quote their sources in the form of a program.
        let text = match part.downcast_ref::<KubeError>() {
            Some(error) => of_client(error, about),
            None => part.to_string(),
        };
        if said.contains(&text) {
            continue;
        }
        let separator = if said.is_empty() { "" } else { ": " };
        write!(said, "{separator}{text}").ok(); // Writing to a string does not fail.
        if part.downcast_ref::<KubeError>().is_some_and(|it| matches!(it, KubeError::Api(_))) {
            break;
        }
    }
    said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What the API server says, or why it says nothing.
fn of_client(error: &KubeError, about: About) -> String {
    match error {
        KubeError::Api(status) => match status.code {
            // It names the verb, the resource and the group that are missing.
            FORBIDDEN => {
                let page = match about {
                    About::Machines => "docs/metalman-sites.md",
                    About::Hosts => "docs/hosts-install.md",
                };
                format!("{}; {page} names the roles", status.message)
            }
            // Of a kind that it does not serve; of an object that is not there, it names the object.
            NOT_FOUND if !status.is_not_found() => match about {
                About::Machines => {
                    "the cluster knows no Machines: run kubectl metal site init first"
                }
                About::Hosts => {
                    "the cluster knows no Hosts: docs/hosts-install.md says how to install the server"
                }
            }
            .to_owned(),
            UNAUTHORIZED => {
                "the API server does not know who asks: the credentials of the kubeconfig are not \
                 valid, or no longer"
                    .to_owned()
            }
            _ => status.message.clone(),
        },
        KubeError::Service(_) | KubeError::HyperError(_) => {
            "the API server does not answer".to_owned()
        }
        other => other.to_string(),
    }
}

/// Whether asking again may bring another answer.
pub(crate) fn is_passing(error: &KubeError) -> bool {
    match error {
        // 429 and 5xx: it is busy, or about to go away.
        KubeError::Api(status) => status.code == 429 || status.code >= 500,
        KubeError::Service(_) | KubeError::HyperError(_) | KubeError::ReadEvents(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;
    use kube::core::Status;

    #[test]
    fn what_is_missing_in_a_cluster_is_said_of_what_was_asked_for() {
        let said = |code, message: &str, about: &str| {
            let status = Status::failure(message, "Failed to parse error data").with_code(code);
            chain(&anyhow!(KubeError::Api(status.boxed())).context(about.to_owned()))
        };
        let none = "404 page not found";
        for about in ["list of kind Host", "Host org/web-1", "BootToken org/a", "HostRelease o/b"] {
            assert!(said(404, none, about).contains("no Hosts: docs/hosts-install.md"), "{about}");
        }
        let machine = said(404, none, "Machine a");
        assert!(machine.contains("no Machines: run kubectl metal site init"), "{machine}");
        let denied = |group: &str| {
            said(403, &format!("cannot list resource in API group \"{group}\""), "list")
        };
        assert!(denied("bloomery.dev").ends_with("; docs/hosts-install.md names the roles"));
        assert!(denied("unbounded-cloud.io").ends_with("; docs/metalman-sites.md names the roles"));
    }
}
