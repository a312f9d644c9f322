//! Points of P-256 (SP 800-186, section 3.2.1.3).

use crypto_bigint::{
    Encoding, U256,
    modular::runtime_mod::{DynResidue, DynResidueParams},
};

/// Length of a coordinate, in octets.
pub(crate) const COORDINATE_LEN: usize = 32;
/// Length of an uncompressed point: a 4, and both coordinates.
pub(crate) const POINT_LEN: usize = 65;

const P: U256 =
    U256::from_be_hex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");
const B: U256 =
    U256::from_be_hex("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b");

/// The uncompressed point with these coordinates; `None` if it is not on the curve. Leading zeros
/// may be omitted.
pub(crate) fn point(x: &[u8], y: &[u8]) -> Option<[u8; POINT_LEN]> {
    let (x, y) = (coordinate(x)?, coordinate(y)?);
    if !is_on_curve(x, y) {
        return None;
    }
    let mut point = [4; POINT_LEN];
    point[1..=COORDINATE_LEN].copy_from_slice(&x);
    point[1 + COORDINATE_LEN..].copy_from_slice(&y);
    Some(point)
}

/// A coordinate, whose leading zeros may be omitted; `None` if it is longer.
pub(crate) fn coordinate(octets: &[u8]) -> Option<[u8; COORDINATE_LEN]> {
    let mut whole = [0; COORDINATE_LEN];
    whole.get_mut(COORDINATE_LEN.checked_sub(octets.len())?..)?.copy_from_slice(octets);
    Some(whole)
}

/// y² = x³ - 3x + b.
fn is_on_curve(x: [u8; COORDINATE_LEN], y: [u8; COORDINATE_LEN]) -> bool {
    let (x, y) = (U256::from_be_bytes(x), U256::from_be_bytes(y));
    if x >= P || y >= P {
        return false;
    }
    let params = DynResidueParams::new(&P);
    let [x, y, b, three] = [x, y, B, U256::from(3_u8)].map(|it| DynResidue::new(&it, params));
    y.square() == x.square() * x - three * x + b
}
