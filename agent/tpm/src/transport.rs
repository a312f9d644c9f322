//! The connection to a TPM: a device, or the socket of a software TPM.

use crate::place::TpmLocation;
use std::{
    fmt,
    fs::File,
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::Duration,
};

/// No response of a TPM is longer.
const LONGEST: usize = 4096;
/// Tag, length and code of a response.
const HEADER: usize = 10;
/// How long a socket may be silent. The kernel has limits of its own for a device.
const SILENCE: Duration = Duration::from_mins(2);

/// An opened TPM.
#[derive(Debug)]
pub(crate) struct Transport(Box<dyn Stream>);

trait Stream: Read + Write + Send + fmt::Debug {}
impl<T: Read + Write + Send + fmt::Debug> Stream for T {}

impl Transport {
    pub(crate) fn open(place: &TpmLocation) -> io::Result<Self> {
        Ok(Self(match place {
            TpmLocation::Device(path) => {
                Box::new(File::options().read(true).write(true).open(path)?)
            }
            TpmLocation::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(SILENCE))?;
                Box::new(stream)
            }
            TpmLocation::Tcp(host) => {
                let stream = TcpStream::connect(host)?;
                stream.set_read_timeout(Some(SILENCE))?;
                Box::new(stream)
            }
        }))
    }

    /// Sends a command in a single write, as the kernel requires, and reads as much as the header of the
    /// response announces.
    pub(crate) fn exchange(&mut self, command: &[u8]) -> io::Result<Vec<u8>> {
        self.0.write_all(command)?;
        let mut buffer = [0; LONGEST];
        let mut read = 0;
        loop {
            match self.0.read(&mut buffer[read..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                some => read += some,
            }
            if wanted(&buffer[..read])?.is_some_and(|wanted| read >= wanted) {
                return Ok(buffer[..read].to_vec());
            }
        }
    }
}

/// The length of a response, once its header has arrived.
fn wanted(read: &[u8]) -> io::Result<Option<usize>> {
    let Some(header) = read.first_chunk::<HEADER>() else { return Ok(None) };
    let [_, _, len @ .., _, _, _, _] = *header;
    let len = usize::try_from(u32::from_be_bytes(len)).unwrap_or(usize::MAX);
    if (HEADER..=LONGEST).contains(&len) {
        return Ok(Some(len));
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "its answer has a length that no answer has"))
}
