//! Whether the cluster keeps what a token says: the API server leaves out without a word what its custom
//! resources do not have.

use anyhow::{Result, bail};
use metal_api::BootToken;
use serde_json::Value;

/// Compares a token with what the API server has made of it.
///
/// # Errors
///
/// If a field is gone: a token that is bound to one machine would be good for all.
pub(super) fn all_kept(sent: &BootToken, kept: &BootToken) -> Result<()> {
    let (sent, kept) = (serde_json::to_value(&sent.spec)?, serde_json::to_value(&kept.spec)?);
    match missing(&sent, &kept, "spec") {
        None => Ok(()),
        Some(field) => bail!(
            "the cluster does not know {field}, and left it out: its custom resources are older than this \
             plugin; install those of version {} first",
            env!("CARGO_PKG_VERSION")
        ),
    }
}

/// The first field of `sent` that is not in `kept`, which may have more.
fn missing(sent: &Value, kept: &Value, at: &str) -> Option<String> {
    match sent {
        Value::Object(all) => all.iter().find_map(|(name, value)| {
            missing(value, &kept[name.as_str()], &format!("{at}.{name}"))
        }),
        Value::Array(all) => {
            let mut all = all.iter().enumerate();
            all.find_map(|(index, value)| missing(value, &kept[index], &format!("{at}[{index}]")))
        }
        Value::Null => None,
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            kept.is_null().then(|| at.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_left_out_is_named_and_what_is_added_is_not() {
        let sent = json!({ "binding": { "ekHash": "a" }, "list": [{ "name": "a" }], "no": null });
        let more =
            json!({ "binding": { "ekHash": "a", "more": 1 }, "list": [{ "name": "a" }], "by": 2 });
        assert_eq!(missing(&sent, &more, "spec"), None);
        for (kept, field) in [
            (json!({ "list": [{ "name": "a" }] }), "spec.binding.ekHash"),
            (json!({ "binding": { "ekHash": "a" }, "list": [] }), "spec.list[0].name"),
        ] {
            assert_eq!(missing(&sent, &kept, "spec").as_deref(), Some(field));
        }
    }
}
