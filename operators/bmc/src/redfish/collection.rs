//! Collections: pages, and members with or without `$expand` or `only` (DSP0266, section 7.3).
//!
//! The members of each page are kept, as text if the page contained them, and the page is dropped
//! before the next one is requested.

use crate::{
    Error,
    transport::{
        call::{Call, Resource, is_fatal},
        field,
        message::reason,
        root::{Query, Root},
        uri,
    },
};
use serde_json::{Value, json};
use std::collections::HashSet;

/// More members than any BMC has.
const MEMBERS: usize = 1024;
/// More pages than that many members need.
const PAGES: usize = 64;

/// What a remark has that says that a collection contradicts itself.
const MISCOUNT: &str = ": Members@odata.count is ";
/// How one ends that says so of its links.
const INVALID: &str = " links are invalid";

/// Whether a remark says that a collection contradicts itself: all that it names was read.
pub fn is_about_the_list(remark: &str) -> bool {
    remark.contains(MISCOUNT) || remark.ends_with(INVALID)
}

/// A member of a collection.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) uri: String,
    /// The member itself as JSON, if the collection contained it.
    body: Option<Box<[u8]>>,
}

impl Member {
    /// The member, read now if the collection did not contain it.
    pub(crate) async fn read(self, call: &Call<'_>) -> Result<(String, Value), Error> {
        let (uri, member) = self.read_whole(call, |_| true).await?;
        Ok((uri, member.body))
    }

    /// The member, read again if what the collection contained is incomplete.
    pub(crate) async fn read_whole(
        self,
        call: &Call<'_>,
        is_enough: impl Fn(&Value) -> bool,
    ) -> Result<(String, Resource), Error> {
        if let Some(body) = self.body {
            let body = call.object(&body, || format!("get {}", self.uri)).await?;
            if is_enough(&body) {
                return Ok((self.uri, Resource::without_header(body)));
            }
        }
        let member = call.get(&self.uri).await?;
        Ok((self.uri, member))
    }

    /// Whether the member has yet to be read.
    pub(crate) fn is_link(&self) -> bool {
        self.body.is_none()
    }

    /// The members that a list of links names, each once.
    pub(crate) fn list(value: &Value) -> Vec<Self> {
        let mut known = HashSet::new();
        let entries = value.as_array().into_iter().flatten();
        let members = entries.filter_map(|entry| Self::new(entry, Requested::Links));
        members.filter(|member| known.insert(member.key())).take(MEMBERS).collect()
    }

    fn new(entry: &Value, asked: Requested) -> Option<Self> {
        let uri = field::link(entry)?;
        let is_whole = is_whole(entry, asked);
        Some(Self { uri, body: is_whole.then(|| entry.to_string().into_bytes().into()) })
    }

    /// A key that is equal for all spellings of the member's URI.
    fn key(&self) -> String {
        key(&self.uri)
    }
}

/// How a collection was requested.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Requested {
    Links,
    /// With `$expand`.
    Members,
    /// With `only`, and answered by the only member.
    Only,
}

/// Whether an entry is the member itself. Some firmware adds a name, or an error, to a link.
fn is_whole(entry: &Value, asked: Requested) -> bool {
    /// A link may have this many other fields: its type, name and id.
    const STUB: usize = 4;
    const FEW: usize = 6;
    let fields = entry.as_object().map_or(0, serde_json::Map::len);
    let is_typed = asked == Requested::Members && entry["@odata.type"].is_string();
    let is_it = asked == Requested::Only || fields > FEW || is_typed && fields > STUB;
    entry.get("error").is_none() && is_it
}

fn key(uri: &str) -> String {
    uri.trim_end_matches('/').to_ascii_lowercase()
}

/// A collection, as far as it has been read.
#[derive(Default)]
struct CollectionReader {
    collection: String,
    members: Vec<Member>,
    known: HashSet<String>,
    /// Number of entries on its pages, including those without a usable link.
    entries: u64,
    unusable: u64,
    /// The number of members that the collection claims to have.
    count: Option<u64>,
    /// Why the pages after those that were read could not be.
    end: Option<String>,
}

impl CollectionReader {
    /// Takes the members of a page, and returns the link to the next.
    fn take(&mut self, page: &Value, asked: Requested) -> Option<String> {
        let entries = page["Members"].as_array();
        for entry in entries.into_iter().flatten() {
            self.entries += 1;
            match Member::new(entry, asked) {
                None => self.unusable += 1,
                Some(_) if self.members.len() == MEMBERS => {}
                Some(member) if self.known.contains(&member.key()) => {}
                Some(member) => {
                    self.known.insert(member.key());
                    self.members.push(member);
                }
            }
        }
        self.count = self.count.or_else(|| field::unsigned(&page["Members@odata.count"]));
        page["Members@odata.nextLink"].as_str().map(str::to_owned)
    }

    /// Whether it was read to its end, and has fewer members than it claims to have.
    fn lacks_members(&self) -> bool {
        self.end.is_none() && self.count.is_some_and(|count| count > self.entries)
    }

    /// The members. What was inconsistent is added to `missing`.
    fn finish(self, missing: &mut Vec<String>) -> Vec<Member> {
        let (collection, entries, found) = (&self.collection, self.entries, self.members.len());
        if let Some(why) = self.end {
            missing.push(format!("{collection}, after {found}: {why}"));
            return self.members;
        }
        match self.count {
            Some(count) if count != entries => missing
                .push(format!("{collection}{MISCOUNT}{count}, but there are {entries} members")),
            _ => {}
        }
        if self.unusable > 0 {
            missing.push(format!("{collection}: {}{INVALID}", self.unusable));
        }
        if found == MEMBERS {
            missing.push(format!("{collection}, after {MEMBERS}: too many members"));
        }
        self.members
    }
}

/// All members, each once; the members' contents come with them if the BMC supports that. If a page
/// after the first cannot be read, or the collection contradicts itself, `missing` says so.
pub(crate) async fn members(
    call: &Call<'_>,
    root: &Root,
    collection: &str,
    missing: &mut Vec<String>,
) -> Result<Vec<Member>, Error> {
    let (first, asked) = first_page(call, root, collection).await?;
    let mut read = walk(call, collection, (first, asked)).await?;
    if let (Requested::Members, true, Some(query)) = (asked, read.lacks_members(), root.query()) {
        // Some firmware expands only a part of a collection.
        root.give_up(query);
        let again = match call.get(collection).await {
            Ok(page) => walk(call, collection, (page.body, Requested::Links)).await,
            Err(error) => Err(error),
        };
        match again {
            Ok(again) if again.members.len() > read.members.len() => read = again,
            Ok(_) => {}
            Err(error) if is_fatal(&error) => return Err(error),
            // The others may be there.
            Err(error) => read.end = Some(reason(&error)),
        }
    }
    Ok(read.finish(missing))
}

/// Reads all pages after the first.
async fn walk(
    call: &Call<'_>,
    collection: &str,
    (first, asked): (Value, Requested),
) -> Result<CollectionReader, Error> {
    let mut walk =
        CollectionReader { collection: collection.to_owned(), ..CollectionReader::default() };
    let (mut page, mut pages) = (collection.to_owned(), HashSet::from([key(collection)]));
    let mut next = walk.take(&first, asked);
    drop(first);
    while let Some(link) = next.filter(|_| walk.members.len() < MEMBERS) {
        let path = match following(&link, &page, &pages) {
            Ok(path) => path,
            Err(why) => {
                walk.end = Some(why);
                break;
            }
        };
        next = match call.get(&path).await {
            Ok(page) => walk.take(&page.body, asked),
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => {
                walk.end = Some(reason(&error));
                break;
            }
        };
        pages.insert(key(&path));
        page = path;
    }
    Ok(walk)
}

/// The path of the page that a page links to, or why it is not read.
fn following(link: &str, page: &str, pages: &HashSet<String>) -> Result<String, String> {
    let path = uri::resolved(link, page).ok_or("invalid nextLink")?;
    if pages.contains(&key(&path)) {
        return Err(format!("nextLink points back to {path}"));
    }
    if pages.len() == PAGES {
        return Err(format!("more than {PAGES} pages"));
    }
    Ok(path)
}

/// The first page, and how it was requested.
async fn first_page(
    call: &Call<'_>,
    root: &Root,
    collection: &str,
) -> Result<(Value, Requested), Error> {
    let mark = if collection.contains('?') { '&' } else { '?' };
    // It may not be combined with others.
    let is_allowed = |query: &Query| *query != Query::Only || mark == '?';
    if let Some(query) = root.query().filter(is_allowed) {
        let answer = match call.get(&format!("{collection}{mark}{}", query.text())).await {
            Ok(answer) => page_of(query, answer.body, collection),
            Err(error) if is_fatal(&error) => return Err(error),
            Err(_) => None,
        };
        if let Some(page) = answer {
            return Ok(page);
        }
        // Either the BMC does not support what it advertises, or there is no such collection.
        let page = call.get(collection).await?;
        root.give_up(query);
        return Ok((page.body, Requested::Links));
    }
    Ok((call.get(collection).await?.body, Requested::Links))
}

/// The page in the answer to a query; `None` if it is neither a collection nor a member of it.
fn page_of(query: Query, answer: Value, collection: &str) -> Option<(Value, Requested)> {
    match query {
        Query::Expand(_) => Some((answer, Requested::Members)),
        // It does not have exactly one member.
        Query::Only if answer["Members"].is_array() => Some((answer, Requested::Links)),
        Query::Only => {
            let is_other = field::link(&answer).is_some_and(|uri| key(&uri) != key(collection));
            is_other.then(|| (json!({ "Members": [answer] }), Requested::Only))
        }
    }
}
