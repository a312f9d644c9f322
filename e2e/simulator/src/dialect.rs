//! Deviations of BMC firmware from the standard, which can be combined.

/// A deviation from standard Redfish.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumString, strum::VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
pub enum Dialect {
    /// `Boot` is set, and shown as pending, in the settings resource.
    BootSettings,
    /// PATCH with `If-Match` is refused with 412.
    NoIfMatch,
    /// PATCH without `If-Match` is refused with 428.
    IfMatchRequired,
    /// The ETag is in the body only, and `If-Match` must match it.
    BodyEtag,
    /// `Boot` is refused without `BootSourceOverrideMode`.
    ModeRequired,
    /// `Boot` is refused with `BootSourceOverrideMode`.
    ModeRefused,
    /// `Boot` is refused in every form.
    BootRefused,
    /// `Boot` is refused with `Disabled`: the target `None` clears an override.
    ClearedByTarget,
    /// Reset types are listed in the `ActionInfo` only.
    ActionInfo,
    /// Reset types are not listed anywhere, and `GracefulShutdown` is not supported.
    UnlistedResets,
    /// A session is refused with 401; Basic authentication works.
    NoSessions,
    /// A session is refused with 503, and so is Basic authentication with 401.
    SessionsFull,
    /// The session service has a trailing slash in its path; without the slash it answers 308.
    SlashedSessions,
    /// The body of a 401 is cut off.
    CutUnauthorized,
    /// Next to the host, the collection has the system of a GPU baseboard.
    GpuBaseboard,
    /// There are no systems, and no managers.
    NoSystems,
    /// Bodies are compressed even if the client did not ask for it.
    Gzip,
    /// Bodies begin with a byte order mark.
    ByteOrderMark,
    /// A name in each body has an invalid UTF-8 byte, and a tab.
    Latin1,
    /// The next page of a collection is the collection itself.
    PagingLoop,
    /// The ETag changes with every answer, and `If-Match` must be `*`.
    VolatileEtag,
    /// The link to the settings resource is dead.
    DeadSettings,
    /// Links are absolute, with the host name.
    HostLinks,
    /// Members have names; some are listed twice, once with a trailing slash.
    NamedMembers,
    /// Bodies have an invalid number, lack a comma, and continue after their end.
    LooseJson,
    /// The operating system can only be shut down by the power button.
    ButtonOnly,
    /// Of two media slots, the first is for a browser, and the other shows its image in `ImageName`,
    /// without `Inserted`, as OpenBMC does.
    BrowserSlot,
    /// Somebody has left an `HttpBootUri`, which is cleared by `null`, and not by an empty string.
    LeftBootUri,
    /// Inserting a medium needs `Inserted`, `WriteProtected` and `TransferProtocolType`.
    MediaParameters,
    /// Inserting a medium needs `MediaType`.
    MediaType,
    /// A refusal is attached to the property that it is about, and nowhere else, as in OpenBMC.
    PropertyMessages,
    /// The ETag comes without quotes, and `If-Match` needs it in quotes.
    BareEtag,
}
