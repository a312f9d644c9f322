//! Packets (RFC 1350, appendix I; RFC 2347).

use std::{borrow::Cow, fmt};

/// Longest request (RFC 2347).
pub const MAX_REQUEST: usize = 512;
/// Length of the header of a data block.
pub const HEADER_LEN: usize = 4;

/// Opcodes (RFC 1350, section 5; RFC 2347 for OACK).
const READ: u16 = 1;
const WRITE: u16 = 2;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OACK: u16 = 6;

/// A packet that a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A request to read a file.
    Read(ReadRequest<'a>),
    /// A request to write a file.
    Write(ReadRequest<'a>),
    /// It has every block up to this one.
    Ack(u16),
    /// It ends the transfer.
    Error {
        /// The error code.
        code: u16,
        /// The error message.
        message: Cow<'a, str>,
    },
    /// A packet that a reading client never sends.
    Foreign,
}

/// The content of a read request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRequest<'a> {
    /// The file, as the client spells it.
    pub file: Cow<'a, str>,
    /// The transfer mode.
    pub mode: Mode,
    /// Options in their order, with their values.
    pub(super) options: Vec<(&'a [u8], &'a [u8])>,
}

/// Transfer modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Octet: bytes are unchanged.
    Octet,
    /// Any other mode.
    Other,
}

/// Why a packet cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, thiserror::Error)]
pub enum DecodeError {
    /// It is too short.
    #[error("packet is truncated")]
    Truncated,
    /// A request exceeds the maximum length.
    #[error("request longer than {MAX_REQUEST} bytes")]
    TooLong,
    /// Its opcode is unknown.
    #[error("unknown opcode")]
    UnknownOpcode,
}

/// Error codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[repr(u16)]
pub enum Code {
    /// See the message.
    Undefined = 0,
    /// There is no such file.
    FileNotFound = 1,
    /// Access to this file is denied.
    AccessViolation = 2,
    /// The operation is not supported.
    IllegalOperation = 4,
}

impl<'a> Packet<'a> {
    /// Decodes a packet.
    ///
    /// # Errors
    ///
    /// If it is malformed.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let (opcode, rest) = u16_at(bytes)?;
        match opcode {
            READ | WRITE if bytes.len() > MAX_REQUEST => Err(DecodeError::TooLong),
            READ => ReadRequest::decode(rest).map(Self::Read),
            WRITE => ReadRequest::decode(rest).map(Self::Write),
            ACK => u16_at(rest).map(|(block, _)| Self::Ack(block)),
            ERROR => {
                let (code, text) = u16_at(rest)?;
                let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
                // An ERROR message that is too long is cut.
                let text = &text[..text.len().min(MAX_REQUEST)];
                Ok(Self::Error { code, message: String::from_utf8_lossy(text) })
            }
            DATA | OACK => Ok(Self::Foreign),
            _ => Err(DecodeError::UnknownOpcode),
        }
    }
}

impl<'a> ReadRequest<'a> {
    /// A truncated option is ignored: old firmware omits the last zero.
    fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut strings =
            bytes.split_inclusive(|byte| *byte == 0).filter_map(|it| it.strip_suffix(&[0]));
        let file = strings.next().ok_or(DecodeError::Truncated)?;
        let mode = strings.next().ok_or(DecodeError::Truncated)?;
        let mode = if mode.eq_ignore_ascii_case(b"octet") { Mode::Octet } else { Mode::Other };
        let mut options = Vec::new();
        while let (Some(name), Some(value)) = (strings.next(), strings.next()) {
            options.push((name, value));
        }
        Ok(Self { file: String::from_utf8_lossy(file), mode, options })
    }
}

/// The header of a block. On the wire, 65535 is followed by 0.
#[expect(clippy::cast_possible_truncation, reason = "block numbers roll over")]
pub fn data_header(block: u64) -> [u8; HEADER_LEN] {
    let ([a, b], [c, d]) = (DATA.to_be_bytes(), (block as u16).to_be_bytes());
    [a, b, c, d]
}

/// Encodes an ERROR packet.
pub fn encode_error(code: Code, message: impl fmt::Display) -> Vec<u8> {
    let mut bytes = [ERROR.to_be_bytes(), (code as u16).to_be_bytes()].concat();
    bytes.extend_from_slice(message.to_string().as_bytes());
    bytes.push(0);
    bytes
}

/// Encodes an OACK packet.
pub(super) fn encode_oack(options: impl IntoIterator<Item = (&'static str, u64)>) -> Vec<u8> {
    let mut bytes = OACK.to_be_bytes().to_vec();
    for (name, value) in options {
        for text in [name, &value.to_string()] {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
        }
    }
    bytes
}

fn u16_at(bytes: &[u8]) -> Result<(u16, &[u8]), DecodeError> {
    let (head, rest) = bytes.split_first_chunk().ok_or(DecodeError::Truncated)?;
    Ok((u16::from_be_bytes(*head), rest))
}
