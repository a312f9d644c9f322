//! Errors with messages of the Base registry (DSP0268, DSP0266 8.6).

use http::StatusCode;
use serde_json::{Value, json};

/// An error answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    id: &'static str,
    message: String,
    args: Vec<String>,
    related: Option<String>,
}

impl Problem {
    fn new<const N: usize>(
        status: StatusCode,
        id: &'static str,
        message: String,
        args: [&str; N],
    ) -> Self {
        let args = args.map(str::to_owned).into();
        Self { status, id, message, args, related: None }
    }

    fn bad<const N: usize>(id: &'static str, message: String, args: [&str; N]) -> Self {
        Self::new(StatusCode::BAD_REQUEST, id, message, args)
    }

    /// The property of the request that this is about.
    pub(crate) fn at(mut self, object: &str, property: &str) -> Self {
        self.related = Some(format!("#{object}/{property}"));
        self
    }

    /// HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Message key in the registry.
    #[cfg(test)]
    pub(crate) fn id(&self) -> &'static str {
        self.id
    }

    /// The body.
    pub(crate) fn body(&self) -> Value {
        let mut info = json!({
            "@odata.type": "#Message.v1_2_1.Message",
            "MessageId": format!("Base.1.19.{}", self.id),
            "Message": self.message,
            "MessageArgs": self.args,
            "MessageSeverity": if self.status.is_server_error() { "Critical" } else { "Warning" },
            "Resolution": "Correct the request and send it again.",
        });
        if let Some(related) = &self.related {
            info["RelatedProperties"] = json!([related]);
        }
        json!({ "error": {
            "code": format!("Base.1.19.{}", self.id),
            "message": self.message,
            "@Message.ExtendedInfo": [info],
        }})
    }

    pub(crate) fn unknown_property(name: &str) -> Self {
        let text = format!("The property {name} is not in the list of valid properties.");
        Self::bad("PropertyUnknown", text, [name])
    }

    pub(crate) fn not_writable(name: &str) -> Self {
        let text = format!("The property {name} is read-only and cannot be assigned a value.");
        Self::bad("PropertyNotWritable", text, [name])
    }

    pub(crate) fn missing_property(name: &str) -> Self {
        let text = format!("The property {name} is required and must be in the request.");
        Self::bad("PropertyMissing", text, [name])
    }

    pub(crate) fn value_type(value: &Value, name: &str) -> Self {
        let value = value.to_string();
        let text = format!("The value {value} of the property {name} is of a different type.");
        Self::bad("PropertyValueTypeError", text, [&value, name])
    }

    pub(crate) fn value_format(value: &str, name: &str) -> Self {
        let text = format!("The value {value} of the property {name} has a different format.");
        Self::bad("PropertyValueFormatError", text, [value, name])
    }

    pub(crate) fn not_in_list(value: &str, name: &str) -> Self {
        let text = format!("The value {value} of the property {name} is not in the list.");
        Self::bad("PropertyValueNotInList", text, [value, name])
    }

    pub(crate) fn value_conflict(name: &str, other: &str) -> Self {
        let text = format!("The property {name} conflicts with the value of {other}.");
        Self::bad("PropertyValueConflict", text, [name, other])
    }

    pub(crate) fn no_operation() -> Self {
        Self::bad("NoOperation", "The request body has no data to act upon.".to_owned(), [])
    }

    pub(crate) fn malformed_json() -> Self {
        Self::bad("MalformedJSON", "The request body is not a JSON object.".to_owned(), [])
    }

    pub(crate) fn parameter_missing(action: &str, name: &str) -> Self {
        let text = format!("The action {action} needs the parameter {name}.");
        Self::bad("ActionParameterMissing", text, [action, name])
    }

    pub(crate) fn parameter_unknown(action: &str, name: &str) -> Self {
        let text = format!("The action {action} has no parameter {name}.");
        Self::bad("ActionParameterUnknown", text, [action, name])
    }

    pub(crate) fn parameter_not_in_list(value: &str, name: &str, action: &str) -> Self {
        let text =
            format!("The value {value} of the parameter {name} of {action} is not in the list.");
        Self::bad("ActionParameterValueNotInList", text, [value, name, action])
    }

    pub(crate) fn in_use() -> Self {
        let text = "The resource is in use and cannot be changed: eject the medium first.";
        Self::new(StatusCode::CONFLICT, "ResourceInUse", text.to_owned(), [])
    }

    pub(crate) fn no_such_resource(uri: &str) -> Self {
        let text = format!("There is no resource at {uri}.");
        Self::new(StatusCode::NOT_FOUND, "ResourceMissingAtURI", text, [uri])
    }

    pub(crate) fn not_allowed() -> Self {
        let text = "The HTTP method is not allowed on this resource.".to_owned();
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "OperationNotAllowed", text, [])
    }

    pub(crate) fn no_valid_session() -> Self {
        let text = "There is no valid session established with the implementation.".to_owned();
        Self::new(StatusCode::UNAUTHORIZED, "NoValidSession", text, [])
    }

    pub(crate) fn session_limit() -> Self {
        let text = "The maximum number of sessions is reached.".to_owned();
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "SessionLimitExceeded", text, [])
    }

    pub(crate) fn precondition_failed() -> Self {
        let text = "The ETag supplied did not match the current ETag.".to_owned();
        Self::new(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", text, [])
    }

    pub(crate) fn precondition_required() -> Self {
        let text = "The request needs the header If-Match.".to_owned();
        Self::new(StatusCode::PRECONDITION_REQUIRED, "PreconditionRequired", text, [])
    }

    pub(crate) fn odata_version() -> Self {
        let text = "The OData-Version header must be 4.0.".to_owned();
        Self::new(StatusCode::PRECONDITION_FAILED, "HeaderInvalid", text, ["OData-Version"])
    }

    pub(crate) fn query_not_supported() -> Self {
        let text = "Querying is not supported.".to_owned();
        Self::new(StatusCode::NOT_IMPLEMENTED, "QueryNotSupported", text, [])
    }

    pub(crate) fn too_large() -> Self {
        let text = "The request body is too large.".to_owned();
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge", text, [])
    }

    pub(crate) fn standby() -> Self {
        let text = "The resource is in standby: the host is off.".to_owned();
        Self::new(StatusCode::CONFLICT, "ResourceInStandby", text, [])
    }
}
