//! Why something did not work, for a person.

use kube::Error as KubeError;
use std::fmt::Write as _;

/// HTTP status codes with which the API server refuses.
const UNAUTHORIZED: u16 = 401;
const FORBIDDEN: u16 = 403;
const NOT_FOUND: u16 = 404;

/// An error and its sources in one line, each said once.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for part in error.chain() {
        // Those of the client quote their sources in the form of a program.
        let text = match part.downcast_ref::<KubeError>() {
            Some(error) => of_client(error),
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
fn of_client(error: &KubeError) -> String {
    match error {
        KubeError::Api(status) => match status.code {
            // It names the verb, the resource and the group that are missing.
            FORBIDDEN => format!("{}; docs/metalman-sites.md names the roles", status.message),
            // Of a kind that it does not serve; of an object that is not there, it names the object.
            NOT_FOUND if !status.is_not_found() => {
                "the cluster knows no Machines: run kubectl metal site init first".to_owned()
            }
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
