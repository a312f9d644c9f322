//! Collections: pages, and members with or without `$expand` (DSP0266, section 7.3.4).

use crate::{
    Error,
    call::{Call, is_fatal},
    field,
    message::reason,
    root::Root,
};
use serde_json::Value;

/// More members than any BMC has.
const MEMBERS: usize = 1024;
/// More pages than those need.
const PAGES: usize = 64;

/// A member of a collection.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) uri: String,
    /// The member itself, where the collection came with it.
    pub(crate) body: Option<Value>,
}

impl Member {
    /// The member, read now if the collection did not come with it.
    pub(crate) async fn read(self, call: &Call<'_>) -> Result<(String, Value), Error> {
        let body = match self.body {
            Some(body) => body,
            None => call.get(&self.uri).await?.body,
        };
        Ok((self.uri, body))
    }

    /// The members that a list of links names.
    pub(crate) fn list(value: &Value, call: &Call<'_>) -> Vec<Self> {
        value.as_array().into_iter().flatten().filter_map(|entry| Self::new(entry, call)).collect()
    }

    fn new(entry: &Value, call: &Call<'_>) -> Option<Self> {
        let uri = field::link(entry, call.address())?;
        let is_whole = entry.get("Id").is_some() || entry.get("Name").is_some();
        Some(Self { uri, body: is_whole.then(|| entry.clone()) })
    }
}

/// Every member, with the members themselves if the BMC can do that at once. If a page after the
/// first cannot be read, `missing` says so.
pub(crate) async fn members(
    call: &Call<'_>,
    root: &Root,
    collection: &str,
    missing: &mut Vec<String>,
) -> Result<Vec<Member>, Error> {
    let mut page = first_page(call, root, collection).await?;
    let mut members = Member::list(&page["Members"], call);
    for _ in 1..PAGES {
        let Some(next) = page["Members@odata.nextLink"].as_str() else { break };
        page = match call.get(next).await {
            Ok(resource) => resource.body,
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => {
                missing.push(format!("{collection}, beyond {}: {}", members.len(), reason(&error)));
                break;
            }
        };
        members.extend(Member::list(&page["Members"], call));
        if members.len() >= MEMBERS {
            missing.push(format!("{collection}, beyond {MEMBERS}: too many members"));
            members.truncate(MEMBERS);
            break;
        }
    }
    Ok(members)
}

async fn first_page(call: &Call<'_>, root: &Root, collection: &str) -> Result<Value, Error> {
    if let Some(query) = root.expand() {
        let mark = if collection.contains('?') { '&' } else { '?' };
        match call.get(&format!("{collection}{mark}{query}")).await {
            Ok(page) => return Ok(page.body),
            Err(error) if is_fatal(&error) => return Err(error),
            // Either the BMC promised too much, or the collection is not there at all.
            Err(_) => {
                let page = call.get(collection).await?;
                root.give_up_expand();
                return Ok(page.body);
            }
        }
    }
    Ok(call.get(collection).await?.body)
}
