mod admission;
mod fuzz;
mod served;
mod simulation;
mod terms;
mod transfer;
mod wire;

use super::*;

/// A read request for `uki.efi`, with these options.
fn request(options: &[(&str, &str)]) -> Vec<u8> {
    request_for("uki.efi", "octet", options)
}

fn request_for(file: &str, mode: &str, options: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = vec![0, 1];
    let options = options.iter().flat_map(|(name, value)| [*name, *value]);
    for text in [file, mode].into_iter().chain(options) {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
    }
    bytes
}

fn read(bytes: &[u8]) -> ReadRequest<'_> {
    let Packet::Read(request) = Packet::decode(bytes).unwrap() else { panic!("{bytes:?}") };
    request
}

fn terms(options: &[(&str, &str)], size: u64) -> Terms {
    Terms::new(&read(&request(options)), size, Limits::default())
}

fn transfer(windowsize: u16, blocks: u64) -> Transfer {
    let windowsize = windowsize.to_string();
    let options = [("blksize", "8"), ("windowsize", &*windowsize)];
    let mut transfer = Transfer::new(&terms(&options, blocks * 8 - 1));
    assert_eq!(transfer.begin(), Step::Oack);
    transfer
}
