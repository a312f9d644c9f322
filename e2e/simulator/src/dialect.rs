//! Peculiarities of BMC firmware, which can be combined.

/// A dialect of Redfish.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumString, strum::VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
pub enum Dialect {
    /// `Boot` is set and pending in the resource of settings to come.
    BootSettings,
    /// PATCH with `If-Match` is refused with 412.
    NoIfMatch,
    /// PATCH without `If-Match` is refused with 428.
    IfMatchRequired,
    /// The ETag is in the body only, and `If-Match` must be that one.
    BodyEtag,
    /// `Boot` is refused without `BootSourceOverrideMode`.
    ModeRequired,
    /// `Boot` is refused with `BootSourceOverrideMode`.
    ModeRefused,
    /// Reset types stand in the `ActionInfo` only.
    ActionInfo,
    /// No reset types stand anywhere, and `GracefulShutdown` is not one.
    UnlistedResets,
    /// A session is refused with 401; Basic authentication works.
    NoSessions,
    /// A session is refused with 503, and so is Basic authentication with 401.
    SessionsFull,
    /// The service of sessions is at its path with a slash at the end: 308.
    SlashedSessions,
    /// The body of a 401 is cut off.
    CutUnauthorized,
    /// Next to the host, the collection has a system of a GPU baseboard.
    GpuBaseboard,
    /// There are no systems, and no managers.
    NoSystems,
    /// Bodies are compressed, unasked.
    Gzip,
    /// Bodies begin with a byte order mark.
    ByteOrderMark,
    /// A name in each body has a byte that is not UTF-8, and a tab.
    Latin1,
    /// Collections have a next page: themselves.
    PagingLoop,
    /// The ETag is another with every answer, and `If-Match` must be `*`.
    VolatileEtag,
    /// The link to settings to come leads nowhere.
    DeadSettings,
    /// Links are absolute, with the name of the host.
    HostLinks,
    /// Members come with their names, and some twice, with a slash.
    NamedMembers,
    /// Bodies have a number that is none, lack a comma, and go on behind their end.
    LooseJson,
    /// The operating system can only be asked by the power button.
    ButtonOnly,
    /// Inserting a medium needs `Inserted`, `WriteProtected` and `TransferProtocolType`.
    MediaParameters,
}
