//! Changing properties of a resource.

use crate::{
    Error,
    call::{Call, Resource},
    endpoint::Request,
    field, quirks, task,
    wire::Reply,
};
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::Value;

/// Writes properties of a resource that was just read. If somebody else changed it since, it is
/// read and written once more.
pub(crate) async fn patch(
    call: &Call<'_>,
    uri: &str,
    resource: &Resource,
    change: &Value,
) -> Result<(), Error> {
    let reply = with_fresh_etag(call, uri, resource.etag.as_ref(), change).await?;
    let action = format!("change {uri}");
    if !is_for_settings(reply.status) {
        call.succeed(&reply, || action.clone())?;
        return task::finish(call, reply, action).await;
    }
    // Some properties of some BMCs can be written only in a resource of settings to come
    // (DSP0266, section 9.10).
    let settings = &resource.body["@Redfish.Settings"]["SettingsObject"];
    let Some(settings) = field::link(settings, call.address()) else {
        return Err(call.refusal(&reply, action));
    };
    let etag = call.get(&settings).await?.etag;
    let reply = with_fresh_etag(call, &settings, etag.as_ref(), change).await?;
    let action = format!("change {settings}");
    call.succeed(&reply, || action.clone())?;
    task::finish(call, reply, action).await
}

fn is_for_settings(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_REQUEST | StatusCode::METHOD_NOT_ALLOWED)
}

async fn with_fresh_etag(
    call: &Call<'_>,
    uri: &str,
    etag: Option<&HeaderValue>,
    change: &Value,
) -> Result<Reply, Error> {
    let reply = call.send(&request(call, uri, etag, change)?).await?;
    if !matches!(reply.status, StatusCode::PRECONDITION_FAILED | StatusCode::PRECONDITION_REQUIRED)
    {
        return Ok(reply);
    }
    let read_since = call.get(uri).await?.etag;
    let etag = quirks::etag_after_refusal(etag, read_since);
    call.send(&request(call, uri, Some(&etag), change)?).await
}

fn request(
    call: &Call<'_>,
    uri: &str,
    etag: Option<&HeaderValue>,
    change: &Value,
) -> Result<Request, Error> {
    let request = Request::new(Method::PATCH, &call.path(uri)?).json(change);
    Ok(match etag {
        Some(etag) => request.header(header::IF_MATCH, etag.clone()),
        None => request,
    })
}
