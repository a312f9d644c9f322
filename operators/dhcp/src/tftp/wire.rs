//! Packets (RFC 1350, appendix I; RFC 2347).

use std::{borrow::Cow, fmt};

/// Longest request (RFC 2347).
pub const MAX_REQUEST: usize = 512;
/// What comes before the data of a block.
pub const HEADER_LEN: usize = 4;

const READ: u16 = 1;
const WRITE: u16 = 2;
const DATA: u16 = 3;
const ACK: u16 = 4;
const ERROR: u16 = 5;
const OACK: u16 = 6;

/// A packet that a client sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// It wants a file.
    Read(ReadRequest<'a>),
    /// It wants to leave a file.
    Write(ReadRequest<'a>),
    /// It has every block up to this one.
    Ack(u16),
    /// It ends the transfer.
    Error {
        /// Why, as a number.
        code: u16,
        /// Why, in words.
        message: Cow<'a, str>,
    },
    /// What only servers send to a client that reads.
    Foreign,
}

/// What a request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRequest<'a> {
    /// The file, as the client spells it.
    pub file: Cow<'a, str>,
    /// How its bytes are to travel.
    pub mode: Mode,
    /// Options in their order, with what they are to be.
    pub(super) options: Vec<(&'a [u8], &'a [u8])>,
}

/// How bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As they are.
    Octet,
    /// In any other way.
    Other,
}

/// Why a packet is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, thiserror::Error)]
pub enum Malformed {
    /// It ends too soon.
    #[error("packet ends too soon")]
    Truncated,
    /// A request is longer than requests are.
    #[error("request longer than {MAX_REQUEST} bytes")]
    TooLong,
    /// There is no such packet.
    #[error("no such packet")]
    UnknownOpcode,
}

/// Numbers of ERROR packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[repr(u16)]
pub enum Code {
    /// See the message.
    Undefined = 0,
    /// There is no such file.
    FileNotFound = 1,
    /// This file is not given out.
    AccessViolation = 2,
    /// We do not do such things.
    IllegalOperation = 4,
}

impl<'a> Packet<'a> {
    /// Reads a packet.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (opcode, rest) = u16_at(bytes)?;
        match opcode {
            READ | WRITE if bytes.len() > MAX_REQUEST => Err(Malformed::TooLong),
            READ => ReadRequest::decode(rest).map(Self::Read),
            WRITE => ReadRequest::decode(rest).map(Self::Write),
            ACK => u16_at(rest).map(|(block, _)| Self::Ack(block)),
            ERROR => {
                let (code, text) = u16_at(rest)?;
                let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
                // An ERROR that nobody would read to its end is one all the same.
                let text = &text[..text.len().min(MAX_REQUEST)];
                Ok(Self::Error { code, message: String::from_utf8_lossy(text) })
            }
            DATA | OACK => Ok(Self::Foreign),
            _ => Err(Malformed::UnknownOpcode),
        }
    }
}

impl<'a> ReadRequest<'a> {
    /// Options that are cut off are none: old firmware forgets the last zero.
    fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut strings =
            bytes.split_inclusive(|byte| *byte == 0).filter_map(|it| it.strip_suffix(&[0]));
        let file = strings.next().ok_or(Malformed::Truncated)?;
        let mode = strings.next().ok_or(Malformed::Truncated)?;
        let mode = if mode.eq_ignore_ascii_case(b"octet") { Mode::Octet } else { Mode::Other };
        let mut options = Vec::new();
        while let (Some(name), Some(value)) = (strings.next(), strings.next()) {
            options.push((name, value));
        }
        Ok(Self { file: String::from_utf8_lossy(file), mode, options })
    }
}

/// The header of a block; numbers go on from 65535 with 0.
#[expect(clippy::cast_possible_truncation, reason = "block numbers roll over")]
pub fn data_header(block: u64) -> [u8; HEADER_LEN] {
    let ([a, b], [c, d]) = (DATA.to_be_bytes(), (block as u16).to_be_bytes());
    [a, b, c, d]
}

/// An ERROR.
pub fn encode_error(code: Code, message: impl fmt::Display) -> Vec<u8> {
    let mut bytes = [ERROR.to_be_bytes(), (code as u16).to_be_bytes()].concat();
    bytes.extend_from_slice(message.to_string().as_bytes());
    bytes.push(0);
    bytes
}

/// An OACK.
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

fn u16_at(bytes: &[u8]) -> Result<(u16, &[u8]), Malformed> {
    let (head, rest) = bytes.split_first_chunk().ok_or(Malformed::Truncated)?;
    Ok((u16::from_be_bytes(*head), rest))
}
