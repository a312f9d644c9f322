//! TFTP.

/// Port that servers listen on.
pub const PORT: u16 = 69;
